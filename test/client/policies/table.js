'use strict';
// A random table with rows, rights and policies, and random changes of all of them.
const { kColumns, randomValue } = require('./columns');
const { predicate, raising, hostile, personal } = require('./predicates');

const kRows = 8;

class RandomTable {
  constructor(world, name) {
    const { r } = world;
    Object.assign(this, { world, r, name });
    this.columns = r.some(kColumns, 0.35).filter((column) => !column.needs);
    const chosen = new Set(this.columns.map((column) => column.name));
    this.columns.push(...kColumns.filter((column) => column.needs && chosen.has(column.needs) && r.chance(0.5)));
    // Such a table has one policy, whose errors are compared one by one.
    this.raises = r.chance(0.15);
    this.hostile = !this.raises && r.chance(0.07);
    this.asksTable = !this.raises && !this.hostile && r.chance(0.12);
    this.personal = !this.raises && !this.hostile && !this.asksTable && r.chance(0.15);
    this.single = this.raises || this.hostile;
    this.full = r.chance(0.5);
    this.composite = r.chance(0.15);
    this.ids = Array.from({ length: kRows }, (_, i) => i + 1);
    this.policies = 0;
  }
  get quoted() {
    return `${this.world.schema}.${this.name}`;
  }
  has(name) {
    return this.columns.some((column) => column.name === name);
  }

  definition() {
    const { r, quoted } = this;
    const columns = this.columns.map((column) => `${column.name} ${this.world.fill(column.type)}`);
    const key = this.composite ? 'primary key (id, k)' : 'primary key (id)';
    const statements = [`create table ${quoted} (${['id int', "k text default 'k'", 'touch int default 0', ...columns, key].join(', ')})`];
    for (const column of this.columns) if (column.external) statements.push(`alter table ${quoted} alter ${column.name} set storage external`);
    if (this.full) statements.push(`alter table ${quoted} replica identity full`);
    statements.push(this.grant());
    if (r.chance(0.95)) statements.push(`alter table ${quoted} enable row level security`);
    if (r.chance(0.1)) statements.push(this.owner());
    if (r.chance(0.1)) statements.push(`alter table ${quoted} force row level security`);
    const count = this.single ? 1 : r.between(0, 4);
    for (let i = 0; i < count; i += 1) statements.push(this.policy(i === 0));
    return statements.join(';\n');
  }
  grant() {
    const { r, quoted, world } = this;
    if (r.chance(0.8)) return `grant select on ${quoted} to public`;
    const columns = ['id', 'k', 'touch', ...r.some(this.columns, 0.5).map((column) => column.name)];
    const some = r.some(world.roles, 0.7).join(', ') || world.roles[0];
    return `grant select ${r.chance(0.5) ? `(${columns})` : ''} on ${quoted} to ${some}, service_role`;
  }
  owner() {
    return `alter table ${this.quoted} owner to ${this.r.pick(this.world.own)}`;
  }
  expression() {
    if (this.raises) return raising(this.r, this.world, this);
    if (this.hostile) return hostile(this.r, this.world, this);
    if (this.personal) return personal(this.r, this.world, this);
    return predicate(this.r, this.world, this);
  }
  policy(permissive = false) {
    const { r, world } = this;
    this.policies += 1;
    const kind = permissive || this.single || r.chance(0.65) ? 'permissive' : 'restrictive';
    const command = r.pick(['select', 'select', 'select', 'all', this.single ? 'select' : 'update']);
    const to = r.chance(0.6) ? 'public' : r.some(world.roles, 0.5).join(', ') || 'public';
    return `create policy p${this.policies} on ${this.quoted} as ${kind} for ${command} to ${to} using (${this.expression()})`;
  }

  // `skip`: columns that an UPDATE leaves alone.
  row(id) {
    const names = this.columns.filter((column) => !column.generated);
    return { id, values: names.map((column) => [column.name, randomValue(this.r, column)]) };
  }
  inserts() {
    const rows = this.ids.map((id) => this.row(id));
    const names = ['id', ...rows[0].values.map(([name]) => name)];
    return `insert into ${this.quoted} (${names}) values ${rows.map((row) => `(${[row.id, ...row.values.map(([, value]) => value)]})`).join(', ')}`;
  }
  updates() {
    return this.ids.map((id) => {
      const set = this.r.some(this.row(id).values, 0.6).map(([name, value]) => `${name} = ${value}`);
      return `update ${this.quoted} set ${['touch = touch + 1', ...set].join(', ')} where id = ${id}`;
    }).join(';\n');
  }
  touches() {
    return `update ${this.quoted} set touch = touch + 1`;
  }
  deletes() {
    return `delete from ${this.quoted}`;
  }

  // One random change of the definition.
  change() {
    const { r, quoted, world } = this;
    const replace = () => `drop policy if exists p${this.policies} on ${quoted}; ${this.policy(true)}`;
    if (this.single) return r.pick([replace, () => this.grant(), () => this.rights()])();
    return r.pick([
      replace, () => this.policy(), () => this.policy(), () => this.grant(), () => this.rights(), () => this.owner(),
      () => `drop policy if exists p${r.between(1, Math.max(1, this.policies))} on ${quoted}`,
      () => `alter table ${quoted} ${r.pick(['enable', 'enable', 'disable', 'force', 'no force'])} row level security`,
      () => `alter table ${quoted} add column added${(this.added = (this.added || 0) + 1)} int default 7`,
      () => this.rename(),
      () => `do $$ begin alter policy p${this.policies} on ${quoted} to ${r.pick(world.roles)}; exception when undefined_object then end $$`,
    ])();
  }
  rights() {
    const { r, quoted, world } = this;
    return r.pick([`revoke select on ${quoted} from public`, `grant select on ${quoted} to public`, `grant select (id, k, touch) on ${quoted} to ${r.pick(world.roles)}`]);
  }
  rename() {
    const old = this.quoted;
    this.name = `${this.name.split('_')[0]}_${this.r.below(1000000)}`;
    return `alter table ${old} rename to ${this.name}`;
  }
}

module.exports = { RandomTable };
