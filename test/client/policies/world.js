'use strict';
// A schema with what policies speak of: roles, memberships, tables with policies of their own, functions, identities.
const { sql, uniqueName } = require('../lib/sql');
const { makeToken } = require('../lib/token');
const { cleanup } = require('../lib/cleanup');
const { kUsers, kOrgs, quote } = require('./columns');

const kRoles = 4;
const kIdentities = 12;
const kNested = {
  members: ['true', 'user_id = auth.uid()', 'user_id = (select auth.uid()) or team in (select id from {s}.teams where is_public)', 'team < 3'],
  teams: ['true', 'is_public or owner = auth.uid()', "owner = (select auth.uid()) or auth.jwt() ->> 'org' = 'acme'", 'id > 1'],
};
const kMember = 'select exists (select 1 from {s}.members m where m.user_id = auth.uid() and m.team = $1)';
// Bodies that a function may have, the first at the start.
const kFunctions = [
  { head: 'is_member(int) returns boolean language sql stable', bodies: [kMember, 'select $1 = 2', 'select $1 > 1 and auth.uid() is not null'] },
  { head: 'is_member_pl(int) returns boolean language plpgsql stable', bodies: [`begin return (${kMember}); end`, 'begin return $1 < 2; end'] },
  { head: 'is_member_volatile(int) returns boolean language plpgsql volatile', bodies: [`begin return (${kMember}); end`, 'begin return $1 = 1; end'] },
  { head: "is_member_definer(int) returns boolean language sql stable security definer set search_path = ''", bodies: [kMember, 'select $1 = 3'] },
  { head: 'level_ok(int) returns boolean language sql immutable', bodies: ['select $1 >= 3', 'select $1 < 3', 'select true'] },
  // Small enough to be put in the place of their calls, or folded into a constant.
  { head: 'is_mine(uuid) returns boolean language sql stable', bodies: ['select $1 = auth.uid()', 'select $1 <> auth.uid()', 'select $1 = (select auth.uid())'] },
  { head: 'threshold() returns int language sql immutable', bodies: ['select 3', 'select 5', 'select 1'] },
  { head: 'limit_pl() returns int language plpgsql immutable', bodies: ['begin return 3; end', 'begin return 6; end'] },
  { head: 'my_org() returns text language sql stable', bodies: ["select auth.jwt() ->> 'org'", "select 'a'::text"] },
  { head: 'my_teams() returns setof int language sql stable', bodies: ['select m.team from {s}.members m where m.user_id = auth.uid()', 'select 2'] },
  { head: 'is_first() returns boolean language plpgsql stable', bodies: [`begin return auth.uid() = '${kUsers[0]}'; end`, `begin return auth.uid() = '${kUsers[1]}'; end`] },
  { head: 'is_first_wrongly_immutable() returns boolean language plpgsql immutable', bodies: [`begin return auth.uid() = '${kUsers[0]}'; end`] },
  { head: 'me_wrongly_immutable() returns text language plpgsql immutable', bodies: ['begin return auth.uid(); end'] },
  { head: 'raise_if(int) returns boolean language plpgsql stable', bodies: ["begin if $1 = 2 then raise exception 'no'; end if; return $1 < 4; end", 'begin return $1 > 2; end'] },
  { head: 'raise_immutable(int) returns boolean language plpgsql immutable', bodies: ["begin raise exception 'no'; end"] },
  { head: 'knows_secret(int) returns boolean language sql stable security definer', bodies: ['select exists (select 1 from {s}.secrets where team = $1)'] },
  {
    head: 'hijack(int) returns boolean language plpgsql volatile',
    bodies: [`declare mine boolean := auth.uid() = '${kUsers[0]}'; begin
      perform set_config('request.jwt.claims', '{"sub":"${kUsers[0]}"}', false), set_config('request.jwt.claim.sub', '${kUsers[0]}', false),
        set_config('search_path', 'pg_temp', false); return mine or $1 = 2; end`],
  },
];

const kSetUp = `
  create schema {s};
  create type {s}.mood as enum ('sad', 'ok', 'glad');
  create domain {s}.slug as text check (length(value) < 20);
  create table {s}.members (user_id uuid, team int, level int);
  create table {s}.teams (id int, owner uuid, is_public boolean);
  create table {s}.secrets (team int);
  create table {s}.marker (id int primary key);
  insert into {s}.secrets values (1), (2);
  alter table {s}.members enable row level security;
  alter table {s}.teams enable row level security`;

class World {
  static async create(t, r) {
    const world = new World(uniqueName('w_'), r);
    cleanup(t, () => world.drop());
    world.setUpText = world.setUp();
    await sql(world.setUpText);
    world.identities = Array.from({ length: kIdentities }, (_, i) => world.identity(i));
    return world;
  }
  constructor(schema, r) {
    this.schema = schema;
    this.r = r;
    this.own = Array.from({ length: kRoles }, (_, i) => `${schema}_r${i}`);
    this.roles = [...this.own, 'authenticated', 'anon'];
  }
  fill(text) {
    return text.replaceAll('{s}', this.schema);
  }

  setUp() {
    const { r, own } = this;
    const statements = [kSetUp, ...own.map((role, i) => `create role ${role} ${i === 3 ? 'noinherit' : ''}`)];
    const roles = this.roles.join(', ');
    statements.push(`grant usage on schema {s} to public; grant usage on schema auth to ${roles}`);
    statements.push(`grant select on {s}.members, {s}.teams, {s}.marker to public; grant ${own[0]} to ${own[1]}; grant authenticated to ${own[2]}, ${own[3]}`);
    for (const table of Object.keys(kNested)) statements.push(`create policy p on {s}.${table} using (${r.pick(kNested[table])})`);
    for (const definition of kFunctions) statements.push(this.define(definition, definition.bodies[0]));
    statements.push(this.memberRows());
    return this.fill(statements.join(';\n'));
  }
  define(definition, body) {
    return `create or replace function {s}.${definition.head} as $f$ ${body} $f$`;
  }
  memberRows() {
    const { r } = this;
    const member = () => `(${r.chance(0.1) ? 'null' : quote(r.pick(kUsers))}, ${r.chance(0.05) ? 'null' : r.between(0, 4)}, ${r.between(0, 3)})`;
    const team = (_, i) => `(${i}, ${quote(r.pick(kUsers))}, ${r.pick(['true', 'false', 'null'])})`;
    return `insert into {s}.members values ${Array.from({ length: r.between(1, 6) }, member)};
      insert into {s}.teams values ${Array.from({ length: 5 }, team)}`;
  }

  // Every kind at least once, whatever the seed.
  identity(i) {
    const { r } = this;
    const role = i === 0 ? 'service_role' : i <= kRoles ? this.own[i - 1] : r.pick([this.own[1], this.own[2], 'authenticated', 'anon']);
    const claims = { role, exp: 4000000000, iat: 1000000000 };
    if (i !== 5) claims.sub = i === 6 ? 'not-a-uuid' : kUsers[i % kUsers.length];
    if (r.chance(0.7)) claims.org = r.pick(kOrgs);
    if (r.chance(0.6)) claims.team = r.between(0, 4);
    if (r.chance(0.6)) claims.level = r.pick([0, 2, 4, '3']);
    if (r.chance(0.5)) claims.teams = r.some([0, 1, 2, 3, 4], 0.4);
    if (r.chance(0.5)) claims.app = { admin: r.chance(0.5) };
    if (r.chance(0.1)) claims.org = null;
    return { index: i, role, claims, token: makeToken(claims), odd: i === 6 };
  }

  // One change that plans depend on, as SQL. Mostly of one kind only: another kind's would hide that it went unnoticed.
  mutation(tables) {
    const { r } = this;
    const dice = r.next();
    if (dice < 0.35) return r.pick(tables).change();
    if (dice < 0.55) return this.fill(Array.from({ length: 3 }, () => this.changeFunction()).join('; '));
    if (dice < 0.8) return this.changeRoles();
    return this.fill(this.changeNested());
  }
  changeFunction() {
    const { r } = this;
    const definition = r.pick(kFunctions);
    return r.pick([
      () => this.define(definition, r.pick(definition.bodies)),
      () => this.define(definition, r.pick(definition.bodies)),
      () => this.define(definition, r.pick(definition.bodies)),
      () => `${r.pick(['revoke execute on function {s}.is_member(int) from', 'grant execute on function {s}.is_member(int) to'])} public`,
      () => `alter function {s}.is_member(int) ${r.pick(['security definer', 'security invoker', 'volatile', 'stable'])}`,
      () => `alter function {s}.is_first() ${r.pick(['immutable', 'volatile', 'stable'])}`,
    ])();
  }
  changeRoles() {
    const { r, own } = this;
    const [one, other] = [r.pick(own), r.pick(this.roles)];
    // Members come after what they are members of: no circles.
    const may = own.indexOf(one) > own.indexOf(other);
    return r.pick([
      () => (may ? `grant ${other} to ${one}` : `revoke ${one} from ${other}`),
      () => (may ? `grant ${other} to ${one}` : `revoke ${one} from ${other}`),
      () => own.flatMap((role, i) => own.slice(i + 1).map((member) => `revoke ${role} from ${member}`)).join('; '),
      () => `alter role ${one} ${r.pick(['inherit', 'noinherit'])}`,
      () => `alter role ${one} ${r.pick(['bypassrls', 'nobypassrls', 'nobypassrls'])}`,
    ])();
  }
  changeNested() {
    const { r } = this;
    const nested = r.pick(Object.keys(kNested));
    const role = r.pick(this.own);
    return r.pick([
      () => `drop policy if exists p on {s}.${nested}; create policy p on {s}.${nested} using (${r.pick(kNested[nested])})`,
      () => `drop policy if exists p on {s}.${nested}; create policy p on {s}.${nested} using (${r.pick(kNested[nested])})`,
      () => `alter table {s}.${nested} ${r.pick(['enable', 'disable', 'force'])} row level security`,
      () => `revoke select on {s}.${nested} from public`,
      () => `grant select on {s}.${nested} to ${r.pick(['public', 'public', role])}`,
      () => `${r.pick(['grant select on {s}.secrets to', 'revoke select on {s}.secrets from'])} ${role}`,
      () => `delete from {s}.members; delete from {s}.teams; ${this.memberRows()}`,
    ])();
  }
  async drop() {
    await sql(`drop schema if exists ${this.schema} cascade; drop owned by ${this.own} cascade; drop role ${this.own}`);
  }
}

module.exports = { World };
