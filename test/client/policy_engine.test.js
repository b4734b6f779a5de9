'use strict';
// The engine that judges rows inside the worker: what it may remember from row to row and from user to user, and whose
// rights it works with.
const test = require('node:test');
const assert = require('node:assert/strict');
const { withTable, withSchema, withOwner, publish, sql, rows, connect } = require('./lib/sql');
const { makeClient, subscribe, watch, table } = require('./lib/clients');
const { makeToken, userToken } = require('./lib/token');

const kAnn = '44444444-4444-4444-8444-444444444444';
const kBob = '55555555-5555-4555-8555-555555555555';
const kPolicyError = ['Error 500: Internal Server Error, RLS policy evaluation failed'];

const userClient = async (t, user) => makeClient(t, { token: userToken(user) });

test('an UPDATE of a table with generated columns is judged on the new row', async (t) => {
  const source = await withTable(t, "id int primary key, user_id uuid, tag text generated always as (user_id::text || '!') stored", {
    full: true,
    rls: ['for select to authenticated using (auth.uid() = user_id)'],
  });
  const ann = await subscribe(await userClient(t, kAnn), table(source));
  const bob = await subscribe(await userClient(t, kBob), table(source));
  await sql(`insert into ${source.quoted} values (1, '${kAnn}')`);
  await sql(`update ${source.quoted} set user_id = '${kBob}'`);
  await sql(`insert into ${source.quoted} values (2, '${kAnn}'), (3, '${kBob}')`);
  await ann.event((event) => event.new.id === 2);
  await bob.event((event) => event.new.id === 3);
  assert.deepEqual(ann.events.map((event) => [event.eventType, event.new.id]), [['INSERT', 1], ['INSERT', 2]]);
  assert.deepEqual(bob.events.map((event) => [event.eventType, event.new.id]), [['UPDATE', 1], ['INSERT', 3]]);
  assert.deepEqual([bob.events[0].new.tag, bob.events[0].old], [`${kBob}!`, { id: 1 }]);
});

for (const kind of ['', 'security definer', "set search_path = ''"]) {
  test(`a function wrongly declared IMMUTABLE ${kind} is asked for each user`, async (t) => {
    const schema = await withSchema(t);
    await sql(`create function ${schema}.is_bob() returns boolean language plpgsql immutable ${kind} as $$
      begin return auth.uid() = '${kBob}'; end $$`);
    const source = await withTable(t, 'id int primary key', { schema, rls: [`for select to authenticated using (${schema}.is_bob())`] });
    const bob = await subscribe(await userClient(t, kBob), table(source));
    await sql(`insert into ${source.quoted} values (1)`);
    await bob.count(1);
    const other = await withTable(t, 'id int primary key');
    const ann = await subscribe(await userClient(t, kAnn), [table(source), table(other)]);
    await sql(`insert into ${source.quoted} values (2)`);
    await sql(`insert into ${other.quoted} values (3)`);
    await ann.event((event) => event.new.id === 3);
    await bob.count(2);
    assert.deepEqual(ann.values(), [3]);
  });
}

test('a policy that asks the table itself works for a role with rights on columns only', async (t) => {
  const source = await withTable(t, 'id int primary key, user_id uuid, secret text', {
    grant: null, rls: ['for select to authenticated using (auth.uid() = user_id and ctid is not null)'],
  });
  await sql(`grant select (id) on ${source.quoted} to authenticated`);
  const ann = await subscribe(await userClient(t, kAnn), table(source));
  await sql(`insert into ${source.quoted} values (1, '${kBob}', 'x'), (2, '${kAnn}', 'y')`);
  await ann.count(1);
  assert.deepEqual(ann.events.map((event) => [event.new, event.errors]), [[{ id: 2 }, null]]);
});

// now() is the start of the statement that the client sent: a worker has no client, and must set it itself.
test('a policy sees the present time', async (t) => {
  const source = await withTable(t, 'id int primary key', {
    rls: ["for select to authenticated using (extract(epoch from now()) - (auth.jwt() ->> 'iat')::numeric between -1 and 60)"],
  });
  const ann = await subscribe(await userClient(t, kAnn), table(source));
  await sql(`insert into ${source.quoted} values (1)`);
  await ann.count(1);
  assert.deepEqual(ann.values(), [1]);
});

test('DELETE of a row that RLS may hide tells the primary key only, whatever the replica identity', async (t) => {
  const source = await withTable(t, 'id int primary key, email text not null unique, user_id uuid', {
    rls: ['for select to authenticated using (auth.uid() = user_id)'],
  });
  await sql(`alter table ${source.quoted} replica identity using index ${source.name}_email_key`);
  const ann = await subscribe(await userClient(t, kAnn), table(source));
  await sql(`insert into ${source.quoted} values (1, 'bob@example.com', '${kBob}'), (2, 'bob2@example.com', '${kBob}')`);
  await sql(`update ${source.quoted} set user_id = '${kAnn}', email = 'ann@example.com' where id = 2`);
  await sql(`delete from ${source.quoted} where id = 1`);
  await ann.count(2);
  assert.ok(!JSON.stringify(ann.events).includes('bob'), JSON.stringify(ann.events));
  assert.deepEqual(ann.events.map((event) => event.eventType), ['UPDATE', 'DELETE']);
});

// Or a client could find the hidden value with one filter after the other.
test('DELETE of a row that RLS may hide is filtered by its primary key alone, but for roles that see all rows', async (t) => {
  const source = await withTable(t, 'id text primary key, email text not null unique', { rls: ['for select to authenticated using (false)'] });
  await sql(`alter table ${source.quoted} replica identity using index ${source.name}_email_key`);
  const wholly = await withTable(t, 'id text, email text, primary key (id, email)', { rls: ['for select using (false)'] });
  const filters = ['email=eq.b', 'email=neq.x', 'email=gt.a', 'email=in.(b,c)', 'email=not.is.null', 'email=like.b%', 'id=like.1%',
    'id=eq.1,email=eq.b'];
  const ann = await userClient(t, kAnn);
  const hidden = await Promise.all(filters.map((filter) => subscribe(ann, table(source, { filter }))));
  const all = await subscribe(ann, table(source));
  const key = await subscribe(ann, [table(wholly, { filter: 'id=eq.1,email=eq.b' }), table(wholly, { filter: 'id=like.1%' })]);
  const service = await makeClient(t, { token: makeToken({ role: 'service_role' }) });
  const seeing = await Promise.all(filters.slice(0, 5).map((filter) => subscribe(service, table(source, { filter }))));
  for (const one of [source, wholly]) await sql(`insert into ${one.quoted} values (1, 'b')`);
  for (const one of [source, wholly]) await sql(`delete from ${one.quoted}`);
  await all.count(1);
  await key.count(1);
  for (const one of seeing) await one.event((event) => event.eventType === 'DELETE');
  assert.deepEqual(filters.filter((_, i) => hidden[i].events.length > 0), []);
  assert.deepEqual(key.events.map(({ eventType, old }) => [eventType, old]), [['DELETE', { id: '1', email: 'b' }]]);
});

// The walsender sends a commit before the other backends hear of the definitions that it changed.
test('rows are judged by the definitions that their own transaction made', async (t) => {
  const source = await withTable(t, 'id int primary key');
  const other = await withTable(t, 'id int primary key');
  const recording = await subscribe(await userClient(t, kAnn), [table(source), table(other)]);
  const writer = await connect(t);
  const kRounds = 200;
  for (let i = 1; i <= kRounds; i += 1) {
    await writer.query(`begin; alter table ${source.quoted} enable row level security; insert into ${source.quoted} values (${i}); commit`);
    await writer.query(`insert into ${other.quoted} values (${i})`);
    await recording.event((event) => event.table === other.name && event.new.id === i);
    await writer.query(`alter table ${source.quoted} disable row level security`);
  }
  const leaked = recording.events.filter((event) => event.table === source.name);
  assert.equal(leaked.length, 0, `${leaked.length} of ${kRounds} rows`);
});

// The users that a function of the schema ran as in the worker: it tells by NOTIFY, which a read-only transaction may.
async function withSpy(t, { schema, attacker }) {
  const users = new Set();
  const listener = await connect(t);
  listener.on('notification', (message) => users.add(message.payload));
  await listener.query(`listen ${schema}`);
  await attacker.query(`create function ${schema}.spy(anyelement) returns boolean language plpgsql immutable as $$
    begin
      if current_setting('application_name') = 'realtime' then perform pg_notify('${schema}', current_user::text); end if;
      return true;
    end $$`);
  return { users, settled: async () => { await listener.query('select 1'); return [...users]; } };
}

const kLookUps = {
  'a domain inside the key': {
    prepare: (schema) => `create domain ${schema}.d as int check (${schema}.spy(value))`,
    key: (schema) => `${schema}.d[]`, value: "'{1}'",
  },
  'a domain inside a range': {
    prepare: (schema) => `create domain ${schema}.d as int check (${schema}.spy(value));
      create type ${schema}.r as range (subtype = ${schema}.d)`,
    key: (schema) => `${schema}.r`, value: "'[1,2]'",
  },
  'an index expression': {
    key: () => 'int', value: '1',
    finish: (schema) => `create index on ${schema}.victims ((${schema}.spy(1) and id is not null))`,
  },
  'an index predicate': {
    key: () => 'int', value: '1',
    finish: (schema) => `create index on ${schema}.victims (id) where ${schema}.spy(1)`,
  },
};

for (const [what, { prepare, key, value, finish }] of Object.entries(kLookUps)) {
  test(`reading an unchanged TOASTed value runs ${what} without the worker's rights`, async (t) => {
    const hostile = await withOwner(t);
    const { schema, attacker, owner } = hostile;
    const spy = await withSpy(t, hostile);
    if (prepare) await attacker.query(prepare(schema));
    await attacker.query(`create table ${schema}.victims (id ${key(schema)} primary key, n int, note text);
      alter table ${schema}.victims alter note set storage external;
      grant select on ${schema}.victims to authenticated`);
    if (finish) await attacker.query(finish(schema));
    await publish(`${schema}.victims`);
    const note = 'x'.repeat(10000);
    const source = { schema, name: 'victims' };
    const recording = await subscribe(await userClient(t, kAnn), table(source, { filter: `note=gt.a` }));
    await attacker.query(`insert into ${schema}.victims values (${value}, 1, $1)`, [note]);
    await attacker.query(`update ${schema}.victims set n = 2`);
    await recording.event((event) => event.new.n === 2);
    const users = await spy.settled();
    assert.deepEqual(users.filter((user) => user !== owner && user !== 'authenticated'), []);
  });
}

test('code that never ends is cut off wherever it runs', async (t) => {
  const hostile = await withOwner(t);
  const { schema, attacker } = hostile;
  await attacker.query(`create table ${schema}.switch (stuck boolean); insert into ${schema}.switch values (false);
    grant select on ${schema}.switch to authenticated;
    create function ${schema}.dawdle(int) returns boolean language plpgsql immutable as $$
    begin
      if current_setting('application_name') = 'realtime' and (select stuck from ${schema}.switch) then perform pg_sleep(600); end if;
      return true;
    end $$;
    create domain ${schema}.d as int check (${schema}.dawdle(value));
    create table ${schema}.generated (id int primary key, g boolean generated always as (${schema}.dawdle(id)) stored);
    create table ${schema}.filtered (id int primary key, v ${schema}.d[]);
    grant select on ${schema}.generated, ${schema}.filtered to authenticated`);
  await publish(`${schema}.generated`);
  await publish(`${schema}.filtered`);
  const other = await withTable(t, 'id int primary key');
  const client = await userClient(t, kAnn);
  const generated = await subscribe(client, table({ schema, name: 'generated' }));
  const filtered = await subscribe(client, table({ schema, name: 'filtered' }, { filter: 'v=eq.{1}' }));
  const witness = await subscribe(client, table(other));
  await attacker.query(`update ${schema}.switch set stuck = true`);
  await attacker.query(`insert into ${schema}.generated values (1)`);
  await attacker.query(`insert into ${schema}.filtered values (1, '{1}')`);
  await sql(`insert into ${other.quoted} values (1)`);
  await witness.count(1);
  await generated.count(1);
  assert.deepEqual(generated.values(), [1]);
  await filtered.count(1);
  assert.deepEqual(filtered.events[0].errors, kPolicyError);
});

test('advisory locks that failing code took are released', async (t) => {
  const hostile = await withOwner(t);
  const { schema, attacker } = hostile;
  const key = 7100000 + Math.floor(Math.random() * 90000);
  await attacker.query(`create function ${schema}.hold(int) returns boolean language plpgsql as $$
    begin
      perform pg_advisory_lock(${key} + $1) where current_setting('application_name') = 'realtime';
      if current_setting('application_name') = 'realtime' then raise exception 'no'; end if;
      return true;
    end $$;
    create domain ${schema}.d as int check (${schema}.hold(value));
    create table ${schema}.victims (id int primary key, v ${schema}.d[]);
    alter table ${schema}.victims enable row level security;
    create policy p on ${schema}.victims for select to authenticated using (${schema}.hold(id));
    grant select on ${schema}.victims to authenticated`);
  await publish(`${schema}.victims`);
  const source = { schema, name: 'victims' };
  const client = await userClient(t, kAnn);
  const refused = watch(client, table(source, { filter: 'v=eq.{1}' }));
  await refused.system('error');
  const judged = await subscribe(client, table(source));
  await attacker.query(`insert into ${schema}.victims values (2)`);
  await judged.count(1);
  assert.deepEqual(judged.events[0].errors, kPolicyError);
  assert.deepEqual(await rows(`select objid from pg_locks where locktype = 'advisory' and objid between ${key} and ${key + 2}`), []);
});

test('a join to a table whose index is locked delays nobody', async (t) => {
  const locked = await withTable(t, 'id int primary key');
  const other = await withTable(t, 'id int primary key');
  const client = await makeClient(t);
  const witness = await subscribe(client, table(other));
  const holder = await connect(t);
  await holder.query('begin');
  await holder.query(`reindex index ${locked.name}_pkey`);
  const joined = await subscribe(client, table(locked));
  await sql(`insert into ${other.quoted} values (1)`);
  await witness.count(1);
  await holder.query('rollback');
  await sql(`insert into ${locked.quoted} values (1)`);
  await joined.count(1);
});

test('types nested beyond all measure do not exhaust the worker', async (t) => {
  const schema = await withSchema(t);
  const many = (type) => Array.from({ length: 400 }, (_, i) => `c${i} ${type}`).join(', ');
  await sql(`create type ${schema}.a as (${many('int')}); create type ${schema}.b as (${many(`${schema}.a`)})`);
  const source = await withTable(t, `id int primary key, ${Array.from({ length: 100 }, (_, i) => `v${i} ${schema}.b`)}`, { schema });
  const recording = await subscribe(await makeClient(t), table(source));
  await sql(`insert into ${source.quoted} values (1)`);
  await recording.count(1);
  assert.equal(recording.events[0].new.id, 1);
});
