'use strict';
// What each event carries, field by field.
const test = require('node:test');
const assert = require('node:assert/strict');
const { withTable, publish, sql, one } = require('./lib/sql');
const { makeClient, subscribe, table, kVersions } = require('./lib/clients');
const { RawClient } = require('./lib/raw');

const kColumns = [{ name: 'id', type: 'int4' }, { name: 'title', type: 'text' }, { name: 'done', type: 'bool' }];
const kTable = 'id int primary key, title text, done bool';

async function listening(t, columns = kTable, options = {}) {
  const source = await withTable(t, columns, options);
  const client = await RawClient.open(t, { vsn: options.vsn });
  const [id] = await client.listen('realtime:payload', [table(source)], options.token ? { token: options.token } : {});
  return { source, client, id };
}

function checkTimestamp(text, before, after) {
  assert.match(text, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  const at = Date.parse(text);
  assert.ok(at >= Math.floor(before) && at <= Math.ceil(after), `${text} between ${before} and ${after}`);
}
// Where the change is in the log.
function checkedPosition({ commit_lsn, commit_row }) {
  assert.match(commit_lsn, /^(0|[1-9A-F][0-9A-F]{0,7})\/(0|[1-9A-F][0-9A-F]{0,7})$/);
  assert.ok(Number.isInteger(commit_row) && commit_row >= 0, `row ${commit_row}`);
  return { commit_lsn, commit_row };
}
const clock = async () => Number(await one('select extract(epoch from clock_timestamp()) * 1000'));

for (const vsn of kVersions) {
  test(`INSERT, UPDATE and DELETE are exact, default replica identity, vsn ${vsn}`, async (t) => {
    const { source, client, id } = await listening(t, kTable, { vsn });
    const expected = (type, { commit_timestamp, ...data }, rest) => ({
      ids: [id],
      data: { schema: 'public', table: source.name, commit_timestamp, ...checkedPosition(data), type, columns: kColumns, errors: null, ...rest },
    });
    const check = async (statement, type, rest) => {
      const before = await clock();
      await sql(statement);
      const frame = await client.change();
      checkTimestamp(frame.payload.data.commit_timestamp, before, await clock());
      assert.deepEqual(frame.payload, expected(type, frame.payload.data, rest));
      assert.equal(frame.ref, null);
      assert.equal(frame.topic, 'realtime:payload');
      assert.deepEqual(Object.keys(JSON.parse(frame.text)).sort(),
        vsn === '1.0.0' ? ['event', 'payload', 'ref', 'topic'] : ['0', '1', '2', '3', '4']);
      if (vsn === '2.0.0') assert.equal(frame.join_ref, null);
    };
    await check(`insert into ${source.quoted} values (1, 'milk', false)`, 'INSERT', { record: { id: 1, title: 'milk', done: false } });
    await check(`update ${source.quoted} set done = true`, 'UPDATE',
      { record: { id: 1, title: 'milk', done: true }, old_record: { id: 1 } });
    await check(`update ${source.quoted} set id = 2, title = null`, 'UPDATE',
      { record: { id: 2, title: null, done: true }, old_record: { id: 1 } });
    await check(`delete from ${source.quoted}`, 'DELETE', { old_record: { id: 2 } });
  });
}

test('REPLICA IDENTITY FULL: old_record is the whole old row', async (t) => {
  const { source, client } = await listening(t, kTable, { full: true });
  await sql(`insert into ${source.quoted} values (1, 'milk', false)`);
  await sql(`update ${source.quoted} set title = null, done = true`);
  await sql(`delete from ${source.quoted}`);
  await client.change();
  const update = (await client.change()).payload.data;
  assert.deepEqual(update.record, { id: 1, title: null, done: true });
  assert.deepEqual(update.old_record, { id: 1, title: 'milk', done: false });
  const remove = (await client.change()).payload.data;
  assert.deepEqual(remove.old_record, { id: 1, title: null, done: true });
  assert.ok(!('record' in remove));
});

test('REPLICA IDENTITY USING INDEX: old_record has the columns of the index', async (t) => {
  const { source, client } = await listening(t, 'id int primary key, code text not null unique, note text');
  await sql(`alter table ${source.quoted} replica identity using index ${source.name}_code_key`);
  await sql(`insert into ${source.quoted} values (1, 'a', 'x')`);
  await sql(`update ${source.quoted} set code = 'b'`);
  await sql(`delete from ${source.quoted}`);
  await client.change();
  const update = (await client.change()).payload.data;
  assert.deepEqual(update.record, { id: 1, code: 'b', note: 'x' });
  assert.deepEqual(update.old_record, { code: 'a' });
  assert.deepEqual((await client.change()).payload.data.old_record, { code: 'b' });
});

for (const [identity, full] of [['default', false], ['full', true]]) {
  test(`an unchanged TOASTed value is ${full ? 'filled in from the old row' : 'left out'}, replica identity ${identity}`, async (t) => {
    const { source, client } = await listening(t, 'id int primary key, n int, big text', { full });
    await sql(`alter table ${source.quoted} alter big set storage external`);
    await sql(`insert into ${source.quoted} values (1, 0, repeat('x', 20000))`);
    await sql(`update ${source.quoted} set n = 1`);
    await sql(`update ${source.quoted} set big = repeat('y', 20000)`);
    assert.equal((await client.change()).payload.data.record.big.length, 20000);
    const untouched = (await client.change()).payload.data.record;
    assert.equal(untouched.n, 1);
    if (full) assert.equal(untouched.big, 'x'.repeat(20000));
    else assert.ok(!('big' in untouched));
    assert.equal((await client.change()).payload.data.record.big, 'y'.repeat(20000));
  });
}

test('stored generated columns are included, also in old_record under REPLICA IDENTITY FULL', async (t) => {
  const { source, client } = await listening(t,
    "id int primary key, a int, twice int generated always as (a * 2) stored, label text generated always as ('n' || a::text) stored",
    { full: true });
  await sql(`insert into ${source.quoted} values (1, 4)`);
  await sql(`update ${source.quoted} set a = 5`);
  await sql(`delete from ${source.quoted}`);
  const insert = (await client.change()).payload.data;
  assert.deepEqual(insert.record, { id: 1, a: 4, twice: 8, label: 'n4' });
  assert.deepEqual(insert.columns.map(({ name }) => name), ['id', 'a', 'twice', 'label']);
  const update = (await client.change()).payload.data;
  assert.deepEqual(update.record, { id: 1, a: 5, twice: 10, label: 'n5' });
  assert.deepEqual(update.old_record, { id: 1, a: 4, twice: 8, label: 'n4' });
  assert.deepEqual((await client.change()).payload.data.old_record, { id: 1, a: 5, twice: 10, label: 'n5' });
});

test('dropped columns are not sent, composite keys are whole, columns come in the order of the table', async (t) => {
  const source = await withTable(t, 'z int, gone text, b text, a int, primary key (a, z)');
  await sql(`alter table ${source.quoted} drop column gone`);
  const client = await RawClient.open(t);
  await client.listen('realtime:payload', [table(source)]);
  await sql(`insert into ${source.quoted} (z, b, a) values (1, 'x', 2)`);
  await sql(`update ${source.quoted} set b = 'y'`);
  const insert = (await client.change()).payload.data;
  assert.deepEqual(insert.columns.map(({ name }) => name), ['z', 'b', 'a']);
  assert.deepEqual(insert.record, { z: 1, b: 'x', a: 2 });
  assert.deepEqual((await client.change()).payload.data.old_record, { z: 1, a: 2 });
});

test('a table without primary key is served (the reference sends 400 events)', async (t) => {
  const { source, client } = await listening(t, 'n int');
  await sql(`insert into ${source.quoted} values (1)`);
  const { data } = (await client.change()).payload;
  assert.deepEqual([data.record, data.columns, data.errors], [{ n: 1 }, [{ name: 'n', type: 'int4' }], null]);
});

test('TRUNCATE sends nothing and harms nothing', async (t) => {
  const { source, client } = await listening(t);
  await sql(`insert into ${source.quoted} values (1)`);
  await sql(`truncate ${source.quoted}`);
  await sql(`insert into ${source.quoted} values (2)`);
  assert.equal((await client.change()).payload.data.record.id, 1);
  assert.equal((await client.change()).payload.data.record.id, 2);
});

test('select: only these columns and the key', async (t) => {
  const source = await withTable(t, 'id int primary key, a text, b text, c int', { full: true });
  const client = await RawClient.open(t);
  await client.listen('realtime:select', [table(source, { select: ['b'], filter: 'c=eq.1' })]);
  await sql(`insert into ${source.quoted} values (1, 'a', 'b', 1)`);
  await sql(`update ${source.quoted} set b = 'bb'`);
  const insert = (await client.change()).payload.data;
  assert.deepEqual(insert.record, { id: 1, b: 'b' });
  assert.deepEqual(insert.columns.map(({ name }) => name), ['id', 'b']);
  const update = (await client.change()).payload.data;
  assert.deepEqual([update.record, update.old_record], [{ id: 1, b: 'bb' }, { id: 1, b: 'b' }]);
});

test('a row of 200 kB arrives whole', async (t) => {
  const { source, client } = await listening(t, 'id int primary key, body text');
  await sql(`insert into ${source.quoted} values (1, repeat('ab', 100000))`);
  assert.equal((await client.change()).payload.data.record.body.length, 200000);
});

for (const vsn of kVersions) {
  test(`supabase-js hands the application what its documentation says, vsn ${vsn}`, async (t) => {
    const source = await withTable(t, 'id int primary key, price numeric, tags text[], meta jsonb, at timestamp, big bigint', { full: true });
    const recording = await subscribe(await makeClient(t, { vsn }), table(source));
    await sql(`insert into ${source.quoted} values (1, 1.50, '{a,"b c"}', '{"k": [1, null]}', '2021-01-02 03:04:05', 42)`);
    await sql(`update ${source.quoted} set price = null`);
    await sql(`delete from ${source.quoted}`);
    await recording.count(3);
    const row = { id: 1, price: 1.5, tags: ['a', 'b c'], meta: { k: [1, null] }, at: '2021-01-02T03:04:05', big: 42 };
    const [insert, update, remove] = recording.events;
    assert.deepEqual([insert.eventType, insert.new, insert.old, insert.errors], ['INSERT', row, {}, null]);
    assert.deepEqual([update.eventType, update.new, update.old], ['UPDATE', { ...row, price: null }, row]);
    assert.deepEqual([remove.eventType, remove.new, remove.old], ['DELETE', {}, { ...row, price: null }]);
    assert.deepEqual([insert.schema, insert.table], ['public', source.name]);
  });
}

test('a partitioned table: leaf names without publish_via_partition_root', async (t) => {
  const source = await withTable(t, 'id int primary key', { publish: false });
  await sql(`drop table ${source.quoted}; create table ${source.quoted} (id int primary key) partition by range (id);
    create table ${source.name}_a partition of ${source.quoted} for values from (0) to (10);
    grant select on ${source.quoted}, ${source.name}_a to anon`);
  await publish(source.quoted);
  const recording = await subscribe(await makeClient(t), { event: '*', schema: 'public', table: `${source.name}_a` });
  await sql(`insert into ${source.quoted} values (1)`);
  await recording.count(1);
  assert.equal(recording.events[0].table, `${source.name}_a`);
});
