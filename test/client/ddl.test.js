'use strict';
// Definitions that change while clients listen. The worker must follow at once, and fail closed where it cannot.
const test = require('node:test');
const assert = require('node:assert/strict');
const { withTable, withSchema, withRole, connect, publish, alterPublication, sql, transaction } = require('./lib/sql');
const { makeClient, subscribe, watch, table } = require('./lib/clients');
const { RawClient } = require('./lib/raw');
const { makeToken, userToken } = require('./lib/token');
const { waitFor } = require('./lib/wait');

const kAnn = '66666666-6666-4666-8666-666666666666';

// Inserts rows with rising ids until one of them arrives; returns its event.
async function insertUntilSeen(source, recording, from = 1000) {
  let id = from;
  return waitFor(async () => {
    await sql(`insert into ${source.quoted} (id) values (${id})`);
    id += 1;
    return recording.events.find((event) => event.new.id >= from);
  }, () => `a row again; saw ${recording.describe()}`);
}

test('a changed policy holds for the next change', async (t) => {
  const source = await withTable(t, 'id int primary key, n int', { rls: ['for select using (n = 1)'] });
  const recording = await subscribe(await makeClient(t, { token: userToken(kAnn) }), table(source));
  await sql(`insert into ${source.quoted} values (1, 1), (2, 2)`);
  await recording.count(1);
  await sql(`alter policy p0 on ${source.quoted} using (n = 2)`);
  await sql(`insert into ${source.quoted} values (3, 1), (4, 2)`);
  await recording.count(2);
  await sql(`drop policy p0 on ${source.quoted}`);
  await sql(`insert into ${source.quoted} values (5, 1), (6, 2)`);
  await sql(`alter table ${source.quoted} disable row level security`);
  await sql(`insert into ${source.quoted} values (7, 3)`);
  await recording.event((event) => event.new.id === 7);
  // Rows 5 and 6 may be judged after RLS was disabled: the policies of that moment apply.
  assert.deepEqual(recording.values().filter((id) => id < 5 || id > 6), [1, 4, 7]);
});

test('RLS enabled while clients listen closes the table at once', async (t) => {
  const source = await withTable(t, 'id int primary key');
  const open = await withTable(t, 'id int primary key');
  const recording = await subscribe(await makeClient(t), [table(source), table(open)]);
  await sql(`insert into ${source.quoted} values (1)`);
  await recording.count(1);
  await sql(`alter table ${source.quoted} enable row level security`);
  await sql(`insert into ${source.quoted} values (2)`);
  await sql(`insert into ${open.quoted} values (3)`);
  await recording.event((event) => event.new.id === 3);
  assert.deepEqual(recording.values(), [1, 3]);
});

test('a replaced policy function holds for the next change', async (t) => {
  const schema = await withSchema(t);
  const define = (n) => sql(`create or replace function ${schema}.allowed(v int) returns boolean language sql stable as $$ select v = ${n} $$`);
  await define(1);
  const source = await withTable(t, 'id int primary key, n int', { schema, rls: [`for select using (${schema}.allowed(n))`] });
  const recording = await subscribe(await makeClient(t), table(source));
  await sql(`insert into ${source.quoted} values (1, 1), (2, 2)`);
  await recording.count(1);
  await define(2);
  await sql(`insert into ${source.quoted} values (3, 1), (4, 2)`);
  await recording.count(2);
  assert.deepEqual(recording.values(), [1, 4]);
});

test('role membership granted and revoked while clients listen', async (t) => {
  const group = await withRole(t);
  const member = await withRole(t, `nologin in role ${group}`);
  const source = await withTable(t, 'id int primary key', { grant: `${group}, service_role` });
  const recording = await subscribe(await makeClient(t, { token: makeToken({ role: member }) }), table(source));
  await sql(`insert into ${source.quoted} values (1)`);
  await recording.count(1);
  await sql(`revoke ${group} from ${member}`);
  await sql(`insert into ${source.quoted} values (2)`);
  await recording.count(2);
  assert.deepEqual(recording.events[1].new, {});
  assert.deepEqual(recording.events[1].errors, ['Error 401: Unauthorized']);
});

test('columns added, renamed, retyped and dropped', async (t) => {
  const source = await withTable(t, 'id int primary key, a text', { rls: ["for select using (a = 'x')"] });
  const client = await RawClient.open(t);
  await client.listen('realtime:columns', [table(source)]);
  const next = async () => (await client.change()).payload.data;
  await sql(`insert into ${source.quoted} values (1, 'x')`);
  assert.deepEqual((await next()).record, { id: 1, a: 'x' });
  await sql(`alter table ${source.quoted} add b int default 7`);
  await sql(`insert into ${source.quoted} values (2, 'x')`);
  const added = await next();
  assert.deepEqual(added.record, { id: 2, a: 'x', b: 7 });
  assert.deepEqual(added.columns.map(({ name }) => name), ['id', 'a', 'b']);
  await sql(`alter table ${source.quoted} rename b to c`);
  await sql(`insert into ${source.quoted} values (3, 'x')`);
  assert.deepEqual((await next()).record, { id: 3, a: 'x', c: 7 });
  await sql(`alter table ${source.quoted} alter c type text`);
  await sql(`insert into ${source.quoted} values (4, 'x', 'now text')`);
  const retyped = await next();
  assert.deepEqual(retyped.record, { id: 4, a: 'x', c: 'now text' });
  assert.equal(retyped.columns[2].type, 'text');
  await sql(`alter table ${source.quoted} drop c`);
  await sql(`insert into ${source.quoted} values (5, 'x')`);
  assert.deepEqual((await next()).record, { id: 5, a: 'x' });
  await sql(`alter table ${source.quoted} rename a to policy_column`);
  await sql(`insert into ${source.quoted} values (6, 'y'), (7, 'x')`);
  assert.deepEqual((await next()).record, { id: 7, policy_column: 'x' });
});

test('DDL and rows in one transaction', async (t) => {
  const source = await withTable(t, 'id int primary key');
  const recording = await subscribe(await makeClient(t), table(source));
  await transaction([
    `insert into ${source.quoted} values (1)`, `alter table ${source.quoted} add note text`,
    `insert into ${source.quoted} values (2, 'b')`,
  ]);
  await sql(`insert into ${source.quoted} values (3, 'c')`);
  await recording.event((event) => event.new.id === 3);
  assert.deepEqual(recording.values(), [1, 2, 3]);
  assert.equal(recording.events[2].new.note, 'c');
});

test('a column added or removed between commit and judgement never mixes up values', async (t) => {
  const source = await withTable(t, 'id int primary key, a int, b int');
  const recording = await subscribe(await makeClient(t), table(source));
  for (let round = 0; round < 10; round += 1) {
    await sql(`insert into ${source.quoted} (id, a, b) values (${2 * round}, ${round}, ${round + 100})`);
    await sql(`alter table ${source.quoted} drop a; alter table ${source.quoted} add a int`);
    await sql(`insert into ${source.quoted} (id, a, b) values (${2 * round + 1}, ${round}, ${round + 100})`);
  }
  await recording.event((event) => event.new.id === 19);
  for (const event of recording.events) {
    const round = Math.floor(event.new.id / 2);
    if (event.new.id === undefined) continue;
    assert.equal(event.new.b, round + 100);
    assert.ok([round, null, undefined].includes(event.new.a), `a is ${event.new.a} in round ${round}`);
  }
});

test('a renamed table goes by its new name, and back', async (t) => {
  const schema = await withSchema(t);
  const source = await withTable(t, 'id int primary key', { schema, name: 'before' });
  const client = await makeClient(t);
  const wildcard = await subscribe(client, { event: '*', schema, table: '*' });
  const named = await subscribe(client, table(source));
  await sql(`insert into ${schema}.before values (1)`);
  await named.count(1);
  await sql(`alter table ${schema}.before rename to after`);
  await sql(`insert into ${schema}.after values (2)`);
  await wildcard.event((event) => event.table === 'after' && event.new.id === 2);
  await sql(`alter table ${schema}.after rename to before`);
  await sql(`insert into ${schema}.before values (3)`);
  await named.event((event) => event.new.id === 3);
  await wildcard.event((event) => event.table === 'before' && event.new.id === 3);
});

test('a dropped table leaves the channel alive; created and published anew it is served again', async (t) => {
  const schema = await withSchema(t);
  const source = await withTable(t, 'id int primary key', { schema, name: 'phoenix' });
  const other = await withTable(t, 'id int primary key', { schema });
  const recording = await subscribe(await makeClient(t), table(source));
  const witness = await subscribe(await makeClient(t), table(other));
  await sql(`insert into ${source.quoted} values (1)`);
  await recording.count(1);
  await sql(`insert into ${source.quoted} values (2); drop table ${source.quoted}`);
  await sql(`insert into ${other.quoted} values (1)`);
  await witness.count(1);
  await sql(`create table ${source.quoted} (id int primary key, extra text default 'new'); grant select on ${source.quoted} to anon`);
  await publish(source.quoted);
  const event = await insertUntilSeen(source, recording);
  assert.equal(event.new.extra, 'new');
  assert.deepEqual(recording.statuses, ['SUBSCRIBED']);
});

test('a table taken out of the publication is silent, put back it speaks', async (t) => {
  const source = await withTable(t, 'id int primary key');
  const other = await withTable(t, 'id int primary key');
  const recording = await subscribe(await makeClient(t), table(source));
  const witness = await subscribe(await makeClient(t), table(other));
  await alterPublication(`drop table ${source.quoted}`);
  await sql(`insert into ${source.quoted} values (1)`);
  await sql(`insert into ${other.quoted} values (1)`);
  await witness.count(1);
  assert.equal(recording.events.length, 0);
  const late = watch(await makeClient(t), table(source));
  await late.system('error');
  await publish(source.quoted);
  await insertUntilSeen(source, recording);
  assert.ok(!recording.values().includes(1));
});

test('tables dropped and created while others are busy do not disturb them', async (t) => {
  const source = await withTable(t, 'id int primary key');
  const recording = await subscribe(await makeClient(t), table(source));
  const kRows = 200;
  const churn = (async () => {
    for (let i = 0; i < 15; i += 1) {
      const passing = await withTable(t, 'id int primary key, a text');
      await sql(`insert into ${passing.quoted} values (1, 'x'); drop table ${passing.quoted}`);
    }
  })();
  const writer = await connect(t);
  for (let id = 1; id <= kRows; id += 1) await writer.query(`insert into ${source.quoted} values (${id})`);
  await churn;
  await recording.count(kRows);
  assert.deepEqual(recording.values(), Array.from({ length: kRows }, (_, i) => i + 1));
});

test('types that change while clients listen: attributes, names and labels', async (t) => {
  const schema = await withSchema(t);
  await sql(`create type ${schema}.pair as (a int, b text); create type ${schema}.mood as enum ('sad')`);
  const source = await withTable(t, `id int primary key, p ${schema}.pair, list ${schema}.pair[], m ${schema}.mood`, { schema });
  await sql(`grant usage on schema ${schema} to anon`);
  const recording = await subscribe(await makeClient(t), table(source));
  const insert = (id, mood) => sql(`insert into ${source.quoted} values (${id}, row(1, 'x'), array[row(1, 'x')]::${schema}.pair[], '${mood}')`);
  await insert(1, 'sad');
  await recording.count(1);
  assert.deepEqual(recording.events[0].new.p, { a: 1, b: 'x' });

  await sql(`alter type ${schema}.pair rename attribute b to c; alter type ${schema}.mood rename to temper`);
  await sql(`alter type ${schema}.temper add value 'glad'`);
  await insert(2, 'glad');
  await recording.count(2);
  assert.deepEqual(recording.events[1].new, { id: 2, p: { a: 1, c: 'x' }, list: [{ a: 1, c: 'x' }], m: 'glad' });
});

// A temporary table changes catalogs too, in every session of an ordinary application.
test('temporary tables of other sessions disturb no subscription', async (t) => {
  const source = await withTable(t, 'id int primary key');
  const recording = await subscribe(await makeClient(t), { ...table(source), filter: 'id=gt.0' });
  const other = await connect(t);
  for (let i = 1; i <= 50; i += 1) {
    await other.query(`create temp table scratch_${i} (id int primary key, t text)`);
    await other.query(`insert into ${source.quoted} values (${i})`);
  }
  await recording.count(50);
  assert.deepEqual(recording.values(), Array.from({ length: 50 }, (_, i) => i + 1));
});
