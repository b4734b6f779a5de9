'use strict';
// Rows up to realtime.max_record_bytes arrive whole; of larger ones the small values and the NULLs do, with an error.
const test = require('node:test');
const assert = require('node:assert/strict');
const { withTable, sql } = require('./lib/sql');
const { makeClient, subscribe, table } = require('./lib/clients');
const { RawClient } = require('./lib/raw');

const kLimit = 1024 * 1024;
const kTooLarge = ['Error 413: Payload Too Large'];
const kColumns = 'id int primary key, big text, note text, none text, small jsonb';

async function listening(t, options = {}) {
  const source = await withTable(t, kColumns, options);
  await sql(`alter table ${source.quoted} alter big set storage external`);
  const client = await RawClient.open(t);
  await client.listen('realtime:large', [table(source)]);
  return { source, next: async () => (await client.change()).payload.data };
}

test('a row of exactly the limit arrives whole, one byte more is a 413 event', async (t) => {
  const { source, next } = await listening(t);
  for (const extra of [0, 1]) await sql(`insert into ${source.quoted} (id, big) values (${extra}, repeat('x', ${kLimit - 1 + extra}))`);
  const whole = await next();
  assert.equal(whole.record.big.length, kLimit - 1);
  assert.equal(whole.errors, null);
  const cut = await next();
  assert.deepEqual(cut.errors, kTooLarge);
  assert.deepEqual(cut.record, { id: 1, note: null, none: null, small: null });
});

test('a 413 event has everything but large values: NULLs and JSON of up to 64 bytes stay', async (t) => {
  const { source, next } = await listening(t, { full: true });
  const fits = 'y'.repeat(61) + '"';  // with its quotes and the escape: 65
  await sql(`insert into ${source.quoted} values (1, repeat('x', ${kLimit}), repeat('y', 62), null, '{"k": [1, null]}')`);
  const insert = await next();
  assert.deepEqual(insert.record, { id: 1, note: 'y'.repeat(62), none: null, small: { k: [1, null] } });
  assert.deepEqual(insert.columns.map(({ name }) => name), ['id', 'big', 'note', 'none', 'small']);
  assert.match(insert.commit_timestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  await sql(`update ${source.quoted} set note = $1`, [fits]);
  const update = await next();
  assert.deepEqual(update.errors, kTooLarge);
  assert.deepEqual(update.record, { id: 1, none: null, small: { k: [1, null] } });
  assert.deepEqual(update.old_record, { id: 1, note: 'y'.repeat(62), none: null, small: { k: [1, null] } });
  await sql(`delete from ${source.quoted}`);
  const remove = await next();
  assert.deepEqual([remove.type, remove.old_record, remove.errors], ['DELETE', { id: 1, none: null, small: { k: [1, null] } }, kTooLarge]);
});

test('a change that leaves the large value alone is an ordinary one', async (t) => {
  const { source, next } = await listening(t);
  await sql(`insert into ${source.quoted} (id, big) values (1, repeat('x', ${2 * kLimit}))`);
  await sql(`update ${source.quoted} set note = 'n'`);
  assert.deepEqual((await next()).errors, kTooLarge);
  const update = await next();
  assert.deepEqual([update.record, update.errors], [{ id: 1, note: 'n', none: null, small: null }, null]);
});

test('large rows are filtered and judged like others, and supabase-js hands the application the error', async (t) => {
  const source = await withTable(t, kColumns, { rls: ["for select using (right(big, 1) = 'v')"] });
  const recording = await subscribe(await makeClient(t), table(source, { filter: 'id=gt.1' }));
  await sql(`insert into ${source.quoted} (id, big) values (1, repeat('v', ${kLimit})), (2, repeat('x', ${kLimit})), (3, repeat('v', ${kLimit}))`);
  await recording.count(1);
  const [event] = recording.events;
  assert.deepEqual([event.new, event.errors], [{ id: 3, note: null, none: null, small: null }, kTooLarge]);
});
