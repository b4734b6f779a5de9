'use strict';
// What the owners of types, functions and tables can make the worker do: run code with the rights of others, write, or be
// busy with their definitions.
const test = require('node:test');
const assert = require('node:assert/strict');
const { withTable, withOwner, publish, sql, one, connect } = require('./lib/sql');
const { makeClient, subscribe, watch, table } = require('./lib/clients');
const { userToken } = require('./lib/token');

const user = (i) => `cccccccc-0000-4000-8000-${String(i).padStart(12, '0')}`;
const listen = async (t, bindings) => subscribe(await makeClient(t, { token: userToken(user(1)) }), bindings);

// Who it is that runs a function: as a value, and by NOTIFY, which a read-only transaction may.
async function withSpy(t, schema) {
  const users = new Set();
  const listener = await connect(t);
  listener.on('notification', (message) => users.add(message.payload));
  await listener.query(`listen ${schema}`);
  const tell = `if current_setting('application_name') = 'realtime' then perform pg_notify('${schema}', current_user::text); end if;`;
  return { tell, settled: async () => { await listener.query('select 1'); return [...users]; } };
}

const kSettings = ['', 'set search_path = pg_catalog'];
for (const settings of kSettings) {
  const how = settings ? ', with settings of their own' : '';
  test(`functions and types of others, in a superuser's table, gain nothing by it${how}`, async (t) => {
    const { schema, attacker: hostile } = await withOwner(t);
    const spy = await withSpy(t, schema);
    const body = (result) => `language plpgsql immutable ${settings} as $$ begin ${spy.tell} return ${result}; end $$`;
    await hostile.query(`
      create function ${schema}.slug(int) returns text ${body("'slug ' || $1")};
      create function ${schema}.inlined(int) returns text language sql immutable as 'select current_user::text || $1';
      create type ${schema}.mood as enum ('glad');
      create function ${schema}.mood_json(${schema}.mood) returns json ${body("'\"cast\"'::json")};
      create cast (${schema}.mood as json) with function ${schema}.mood_json(${schema}.mood);
      create function ${schema}.checked(int) returns boolean ${body('true')};
      create domain ${schema}.positive as int check (${schema}.checked(value))`);
    const source = await withTable(t, `id int primary key, slug text generated always as (${schema}.slug(id)) stored, n int`);
    const inlined = await withTable(t, `id int primary key, who text generated always as (${schema}.inlined(id)) stored`);
    const typed = await withTable(t, `id int primary key, mood ${schema}.mood, list ${schema}.positive[]`);
    const recording = await listen(t, [table(source), table(inlined), table(typed)]);
    await sql(`insert into ${source.quoted} values (1, default, 1)`);
    await sql(`insert into ${inlined.quoted} values (1)`);
    await sql(`insert into ${typed.quoted} values (1, 'glad', '{1}')`);
    await recording.count(3);
    assert.deepEqual(recording.events.map((event) => event.new), [{ id: 1, n: 1 }, { id: 1 }, { id: 1, mood: 'glad', list: [1] }]);
    assert.deepEqual((await spy.settled()).filter((name) => name === 'postgres'), []);
  });
}

// NOT VALID adds a check without a look at what is there, and its functions need no right to be named. Those that are built in
// are nobody's: query_to_xml() runs any query.
test("a check of another's domain, in an array of a superuser's table, does not run as the superuser", async (t) => {
  const { schema, attacker: hostile } = await withOwner(t);
  const spy = await withSpy(t, schema);
  await hostile.query(`create domain ${schema}.d as int; create domain ${schema}.e as ${schema}.d`);
  await sql(`grant usage on schema ${schema} to public`);
  const source = await withTable(t, `id int primary key, list ${schema}.e[], n int generated always as (cardinality(list)) stored`);
  await hostile.query(`alter domain ${schema}.d add check (case when current_setting('application_name') = 'realtime'
    then query_to_xml($q$select pg_notify('${schema}', current_user::text)$q$, true, true, '') is not null else true end) not valid`);
  const recording = await listen(t, table(source));
  await sql(`insert into ${source.quoted} values (1, '{1,2}')`);
  await recording.count(1);
  assert.deepEqual(recording.events[0].new, { id: 1, list: [1, 2] });
  assert.deepEqual((await spy.settled()).filter((name) => name === 'postgres'), []);
});

test("a superuser's own functions work in his table, and those that bring their own rights", async (t) => {
  const { owner, schema, attacker: hostile } = await withOwner(t);
  const who = (kind) => `returns text language plpgsql immutable ${kind} as $$ begin return current_user; end $$`;
  await sql(`create function ${schema}.mine(int) ${who('')}; create function ${schema}.mine_too(int) ${who('set search_path = pg_catalog')}`);
  await hostile.query(`create function ${schema}.theirs(int) ${who('security definer')}`);
  const source = await withTable(t, `id int primary key, a text generated always as (${schema}.mine(id)) stored,
    b text generated always as (${schema}.mine_too(id)) stored, c text generated always as (${schema}.theirs(id)) stored`);
  const recording = await listen(t, table(source));
  await sql(`insert into ${source.quoted} values (1)`);
  await recording.count(1);
  assert.deepEqual(recording.events[0].new, { id: 1, a: 'postgres', b: 'postgres', c: owner });
});

// A table of a hostile owner with one policy that calls a function with this body.
async function hostileTable(t, body) {
  const { schema, attacker: hostile } = await withOwner(t);
  await hostile.query(`create table ${schema}.victims (id int primary key); grant select on ${schema}.victims to authenticated;
    create function ${schema}.attack() returns boolean language plpgsql as $f$ begin ${body} return true; end $f$;
    alter table ${schema}.victims enable row level security;
    create policy p on ${schema}.victims for select to authenticated using (${schema}.attack())`);
  await publish(`${schema}.victims`);
  return { schema, name: 'victims', quoted: `${schema}.victims`, hostile };
}

test('what a policy function writes to a large object is not there afterwards', async (t) => {
  const source = await hostileTable(t, "perform lo_put(lo_create(0), 0, 'written');");
  const other = await withTable(t, 'id int primary key');
  const recording = await listen(t, [table(source), table(other)]);
  const objects = () => one('select count(*)::int from pg_largeobject_metadata');
  const before = await objects();
  await sql(`insert into ${source.quoted} values (1)`);
  // The next commit is judged in another transaction.
  await recording.event((event) => event.new.id === 1);
  await sql(`insert into ${other.quoted} values (2)`);
  await recording.event((event) => event.new.id === 2);
  assert.equal(await objects(), before);
});

// A policy's function that is wrongly declared IMMUTABLE is called while the policy is planned, and only then: each call is a
// plan that was made anew, with everything else that is known of the table.
test('who defines and drops things all the time does not have the tables of others looked at again', async (t) => {
  const { owner, schema, attacker: hostile } = await withOwner(t);
  const plans = [];
  const listener = await connect(t);
  listener.on('notification', (message) => plans.push(message.payload));
  await listener.query(`listen ${schema}`);
  const planned = `create or replace function ${schema}.planned() returns boolean language plpgsql immutable as $$
    begin perform pg_notify('${schema}', clock_timestamp()::text); return true; end $$`;
  await sql(planned);
  await hostile.query(`create table ${schema}.own (id int primary key); grant select on ${schema}.own to authenticated`);
  await publish(`${schema}.own`);
  const source = await withTable(t, 'id int primary key, user_id uuid', {
    rls: [`for select to authenticated using (${schema}.planned() and auth.uid() = user_id)`],
  });
  const recording = await listen(t, [table(source), table({ schema, name: 'own' })]);
  let last = 0;
  // How often it has been planned once the row has arrived, and another one that is judged later.
  const write = async () => {
    for (let i = 0; i < 2; i += 1) {
      last += 1;
      await sql(`insert into ${source.quoted} values (${last}, '${user(1)}')`);
      await recording.event((event) => event.binding === 0 && event.new.id === last);
    }
    await listener.query('select 1');
    return plans.length;
  };
  const before = await write();
  assert.ok(before > 0);
  const kDefinitions = [
    'create or replace function pg_temp.f() returns int language sql return 1',
    `create or replace function ${schema}.f() returns int language sql return 1`,
    'create operator pg_temp.=== (leftarg = int, rightarg = int, function = int4eq); drop operator pg_temp.=== (int, int)',
    `create type ${schema}.e as enum ('a'); create cast (${schema}.e as json) with inout; drop type ${schema}.e cascade`,
    `alter table ${schema}.own alter id set statistics 10`,
    `alter role ${owner} password 'secret'`,
  ];
  for (const definition of kDefinitions) {
    await hostile.query(definition);
    await hostile.query(`insert into ${schema}.own values (${last})`);
    await recording.event((event) => event.binding === 1 && event.new.id === last);
    assert.equal(await write(), before, definition);
  }
  await sql(planned);
  assert.ok(await write() > before, 'what it is made of counts');
});

test('an error of any length is told and logged with its beginning', async (t) => {
  const { schema, attacker: hostile } = await withOwner(t);
  await hostile.query(`
    create function ${schema}.long(int) returns boolean language plpgsql as $$ begin
      if current_setting('application_name') = 'realtime' then raise exception 'é%', repeat('é', 20000000) using detail = repeat('d', 20000000); end if;
      return true;
    end $$;
    create domain ${schema}.d as int check (${schema}.long(value));
    create table ${schema}.victims (id int primary key, d ${schema}.d[]);
    grant select on ${schema}.victims to authenticated`);
  await publish(`${schema}.victims`);
  const client = await makeClient(t, { token: userToken(user(1)) });
  const refused = watch(client, table({ schema, name: 'victims' }, { filter: 'd=eq.{1}' }));
  const { message } = await refused.system('error');
  assert.ok(message.includes('ééé') && message.length < 10000, `${message.length} characters`);
  assert.doesNotMatch(message, /\ufffd/);
});
