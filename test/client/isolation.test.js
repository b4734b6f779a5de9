'use strict';
// Which changes reach which channel: tables, schemas, events, bindings, names.
const test = require('node:test');
const assert = require('node:assert/strict');
const { withTable, withSchema, connect, sql, transaction, alterPublication, uniqueName } = require('./lib/sql');
const { makeClient, subscribe, table, kVersions } = require('./lib/clients');
const { RawClient } = require('./lib/raw');

for (const vsn of kVersions) {
  test(`test_per_table_channel_isolation: each channel gets its own table's rows, vsn ${vsn}`, async (t) => {
    const one = await withTable(t, 'id int primary key');
    const two = await withTable(t, 'id int primary key');
    const client = await makeClient(t, { vsn });
    const first = await subscribe(client, table(one));
    const second = await subscribe(client, table(two));
    await transaction([1, 2, 3, 4, 5, 6].map((id) => `insert into ${(id % 2 ? one : two).quoted} values (${id})`));
    await first.event((event) => event.new.id === 5);
    await second.event((event) => event.new.id === 6);
    assert.deepEqual(first.values(), [1, 3, 5]);
    assert.deepEqual(second.values(), [2, 4, 6]);
    assert.ok(first.events.every((event) => event.table === one.name && event.schema === 'public'));
  });

  test(`test_event_type_filter: a channel gets only the events it asked for, vsn ${vsn}`, async (t) => {
    const source = await withTable(t, 'id int primary key, n int', { full: true });
    const client = await makeClient(t, { vsn });
    const recordings = {};
    for (const event of ['INSERT', 'UPDATE', 'DELETE', '*']) recordings[event] = await subscribe(client, table(source, { event }));
    for (let round = 1; round <= 3; round += 1) {
      await sql(`insert into ${source.quoted} values (${round}, 0)`);
      await sql(`update ${source.quoted} set n = n + 1 where id = ${round}`);
      await sql(`delete from ${source.quoted} where id = ${round}`);
    }
    await recordings['*'].count(9);
    assert.deepEqual(recordings['*'].events.map((event) => event.eventType),
      [1, 2, 3].flatMap(() => ['INSERT', 'UPDATE', 'DELETE']));
    for (const event of ['INSERT', 'UPDATE', 'DELETE']) {
      await recordings[event].count(3);
      assert.deepEqual(recordings[event].events.map((e) => e.eventType), [event, event, event]);
    }
  });
}

test('test_per_table_channel_isolation: same table name in two schemas', async (t) => {
  const name = uniqueName('same_');
  const a = await withTable(t, 'id int primary key', { schema: await withSchema(t), name });
  const b = await withTable(t, 'id int primary key', { schema: await withSchema(t), name });
  const client = await makeClient(t);
  const first = await subscribe(client, table(a));
  const second = await subscribe(client, table(b));
  await sql(`insert into ${b.quoted} values (1)`);
  await sql(`insert into ${a.quoted} values (2)`);
  await first.count(1);
  await second.count(1);
  assert.deepEqual([first.values(), second.values()], [[2], [1]]);
});

test('test_per_table_channel_isolation: two clients on one topic with different tables', async (t) => {
  const a = await withTable(t, 'id int primary key');
  const b = await withTable(t, 'id int primary key');
  const topic = uniqueName('shared');
  const first = await subscribe(await makeClient(t), table(a), { topic });
  const second = await subscribe(await makeClient(t), table(b), { topic });
  await sql(`insert into ${b.quoted} values (1)`);
  await sql(`insert into ${a.quoted} values (2)`);
  await first.count(1);
  await second.count(1);
  assert.deepEqual([first.values(), second.values()], [[2], [1]]);
});

test('test_event_type_filter: the letter case of the event does not matter to the server', async (t) => {
  const source = await withTable(t, 'id int primary key');
  const client = await RawClient.open(t);
  const ids = await client.listen('realtime:case', [
    table(source, { event: 'insert' }), table(source, { event: 'Update' }), table(source, { event: 'whatever' }),
  ]);
  await sql(`insert into ${source.quoted} values (1)`);
  await sql(`update ${source.quoted} set id = 2`);
  assert.deepEqual((await client.change()).payload.ids.sort(), [ids[0], ids[2]].sort());
  assert.deepEqual((await client.change()).payload.ids.sort(), [ids[1], ids[2]].sort());
});

test('one message per change, with the ids of every binding it matches', async (t) => {
  const source = await withTable(t, 'id int primary key');
  const other = await withTable(t, 'id int primary key');
  const client = await RawClient.open(t);
  const ids = await client.listen('realtime:ids', [
    table(source), table(source, { filter: 'id=gt.5' }), table(source, { event: 'INSERT' }), table(other), table(source),
  ]);
  await sql(`insert into ${source.quoted} values (1)`);
  await sql(`insert into ${source.quoted} values (6)`);
  await sql(`insert into ${other.quoted} values (7)`);
  const unique = (list) => [...new Set(list)].sort();
  assert.equal(ids[0], ids[4], 'equal bindings share their id');
  assert.deepEqual(unique((await client.change()).payload.ids), unique([ids[0], ids[2]]));
  assert.deepEqual(unique((await client.change()).payload.ids), unique([ids[0], ids[1], ids[2]]));
  assert.deepEqual(unique((await client.change()).payload.ids), [ids[3]]);
  await client.heartbeat();
  assert.equal(client.frames.filter((frame) => frame.event === 'postgres_changes').length, 3);
});

test('supabase-js calls back once per matching binding', async (t) => {
  const source = await withTable(t, 'id int primary key');
  const recording = await subscribe(await makeClient(t), [
    table(source, { event: 'INSERT' }), table(source, { event: 'INSERT', filter: 'id=eq.2' }), table(source, { event: 'DELETE' }),
  ]);
  await sql(`insert into ${source.quoted} values (1), (2)`);
  await sql(`delete from ${source.quoted} where id = 1`);
  await recording.count(4);
  assert.deepEqual(recording.events.map((event) => [event.binding, event.new.id ?? event.old.id]), [[0, 1], [0, 2], [1, 2], [2, 1]]);
});

const kWildcards = [
  ['table *', (schema) => ({ event: '*', schema, table: '*' })],
  ['schema only', (schema) => ({ event: '*', schema })],
];
for (const [what, binding] of kWildcards) {
  test(`wildcards: ${what}`, async (t) => {
    const schema = await withSchema(t);
    const a = await withTable(t, 'id int primary key', { schema });
    const b = await withTable(t, 'id int primary key', { schema });
    const elsewhere = await withTable(t, 'id int primary key');
    const recording = await subscribe(await makeClient(t), binding(schema));
    await transaction([`insert into ${elsewhere.quoted} values (1)`, `insert into ${a.quoted} values (2)`,
      `insert into ${b.quoted} values (3)`]);
    await recording.event((event) => event.new.id === 3);
    assert.deepEqual(recording.values(), [2, 3]);
  });
}

test('wildcards: schema * sees every schema, table only means public', async (t) => {
  const schema = await withSchema(t);
  const name = uniqueName('w_');
  const inSchema = await withTable(t, 'id int primary key', { schema, name });
  const inPublic = await withTable(t, 'id int primary key', { name });
  const client = await makeClient(t);
  const every = await subscribe(client, { event: '*', schema: '*' });
  const named = await subscribe(client, { event: '*', schema: '*', table: name });
  const tableOnly = await subscribe(client, { event: '*', table: name });
  await sql(`insert into ${inSchema.quoted} values (1)`);
  await sql(`insert into ${inPublic.quoted} values (2)`);
  await tableOnly.count(1);
  await named.count(2);
  await every.event((event) => event.table === name && event.new.id === 2);
  assert.deepEqual(tableOnly.values(), [2]);
  assert.deepEqual(named.values(), [1, 2]);
  assert.deepEqual(every.events.filter((event) => event.table === name).map((event) => event.new.id), [1, 2]);
});

test('a wildcard picks up tables that are published or created later', async (t) => {
  const schema = await withSchema(t);
  const early = await withTable(t, 'id int primary key', { schema });
  const late = await withTable(t, 'id int primary key', { schema, publish: false });
  const recording = await subscribe(await makeClient(t), { event: '*', schema, table: '*' });
  await alterPublication(`add table ${late.quoted}`);
  await sql(`insert into ${late.quoted} values (1)`);
  const created = await withTable(t, 'id int primary key', { schema });
  await sql(`insert into ${created.quoted} values (2)`);
  await sql(`insert into ${early.quoted} values (3)`);
  await recording.event((event) => event.new.id === 3);
  assert.deepEqual(recording.values(), [1, 2, 3]);
});

test('_ and % in names are literal', async (t) => {
  const schema = await withSchema(t);
  const underscore = await withTable(t, 'id int primary key', { schema, name: 'user_a' });
  const letter = await withTable(t, 'id int primary key', { schema, name: 'userXa' });
  const percent = await withTable(t, 'id int primary key', { schema, name: '100%' });
  const longer = await withTable(t, 'id int primary key', { schema, name: '1000' });
  const client = await makeClient(t);
  const first = await subscribe(client, table(underscore));
  const second = await subscribe(client, table(percent));
  await sql(`insert into ${letter.quoted} values (1)`);
  await sql(`insert into ${longer.quoted} values (2)`);
  await sql(`insert into ${underscore.quoted} values (3)`);
  await sql(`insert into ${percent.quoted} values (4)`);
  await first.count(1);
  await second.count(1);
  assert.deepEqual([first.values(), second.values()], [[3], [4]]);
});

test('names with upper case, blanks, dots, commas, quotes and other scripts', async (t) => {
  const schema = await withSchema(t);
  const client = await makeClient(t);
  for (const name of ['MyTable', 'two words', 'a.b', 'x,y', 'say "hi"', "it's", 'таблица', '表😀', 'back\\slash']) {
    const source = await withTable(t, '"Id" int primary key, "a ""b""\\ c" text', { schema, name });
    const recording = await subscribe(client, table(source, { filter: 'Id=eq.1' }));
    await sql(`insert into ${source.quoted} values (2, 'no'), (1, $1)`, ['x"\\y']);
    await recording.count(1);
    assert.equal(recording.events[0].table, name);
    assert.deepEqual(recording.events[0].new, { Id: 1, 'a "b"\\ c': 'x"\\y' });
  }
});

test('nothing of a rolled-back transaction or savepoint arrives, and commit order is kept', async (t) => {
  const source = await withTable(t, 'id int primary key');
  const recording = await subscribe(await makeClient(t), table(source));
  const early = await connect(t);
  await early.query(`begin; insert into ${source.quoted} values (1)`);
  await sql(`begin; insert into ${source.quoted} values (100); rollback`);
  await sql(`begin; insert into ${source.quoted} values (2); savepoint s; insert into ${source.quoted} values (101); rollback to s; commit`);
  await early.query('commit');
  await sql(`insert into ${source.quoted} values (3)`);
  await recording.event((event) => event.new.id === 3);
  assert.deepEqual(recording.values(), [2, 1, 3]);
});
