'use strict';
// The replication connection ends while rows are written: sockets stay, reading goes on where it stopped.
const test = require('node:test');
const assert = require('node:assert/strict');
const { withTable, connect, sql, walsender, waitForWalsender } = require('../lib/sql');
const { makeClient, subscribe, table, kVersions } = require('../lib/clients');
const { RawClient } = require('../lib/raw');
const { waitFor } = require('../lib/wait');

const kBackWithin = 5000;

// Writes rows with rising ids until stopped; `last` is the highest id that was committed.
function startWriter(client, source) {
  const writer = { last: 0, stopped: false };
  writer.done = (async () => {
    while (!writer.stopped) {
      await client.query(`insert into ${source.quoted} values (${writer.last + 1})`);
      writer.last += 1;
      await new Promise((resolve) => { setTimeout(resolve, 2); });
    }
  })();
  return writer;
}

// Ends the walsender and measures how long it takes until a row written afterwards arrives.
async function terminateAndMeasure(recording, writer) {
  const pid = await waitForWalsender();
  await sql('select pg_terminate_backend($1)', [pid]);
  await waitFor(async () => (await walsender()) !== pid, 'the walsender to end');
  const at = Date.now();
  const mark = writer.last + 1;
  await recording.event((event) => event.new.id >= mark, `row ${mark} after the walsender ended`);
  return Date.now() - at;
}

for (const vsn of kVersions) {
  test(`test_replication_listener_retry: walsender ended while rows are written, vsn ${vsn}`, async (t) => {
    const source = await withTable(t, 'id int primary key');
    const recording = await subscribe(await makeClient(t, { vsn }), table(source));
    const raw = await RawClient.open(t);
    await raw.listen('realtime:retry', [table(source)]);
    const writer = startWriter(await connect(t), source);
    await recording.count(20);
    for (let round = 0; round < 3; round += 1) {
      const took = await terminateAndMeasure(recording, writer);
      assert.ok(took < kBackWithin, `reading again after ${took} ms`);
    }
    writer.stopped = true;
    await writer.done;
    await recording.event((event) => event.new.id === writer.last, `the last row ${writer.last}`);
    const expected = Array.from({ length: writer.last }, (_, i) => i + 1);
    assert.deepEqual(recording.values(), expected, 'each row once, in order');
    const seen = () => raw.frames.filter((frame) => frame.event === 'postgres_changes').map((f) => f.payload.data.record.id);
    await waitFor(() => seen().at(-1) === writer.last, 'the last row at the second client');
    assert.deepEqual(seen(), expected);
    assert.deepEqual(recording.statuses, ['SUBSCRIBED'], 'the channel never closed');
    assert.equal(raw.closed, null);
    assert.ok(!recording.systems.some((system) => system.status === 'error'), 'nothing was missed, so nobody is told so');
  });
}

test('test_replication_listener_retry: ended in the middle of a large transaction', async (t) => {
  const source = await withTable(t, 'id int primary key, body text');
  const recording = await subscribe(await makeClient(t), table(source));
  await sql(`insert into ${source.quoted} select i, repeat('x', 200) from generate_series(1, 30000) i`);
  await recording.count(1000);
  await sql('select pg_terminate_backend($1)', [await waitForWalsender()]);
  await sql(`insert into ${source.quoted} values (30001)`);
  await recording.event((event) => event.new.id === 30001);
  const wrong = recording.values().findIndex((id, i) => id !== i + 1);
  assert.equal(wrong, -1, `at position ${wrong}: row ${recording.values()[wrong]}, of ${recording.events.length} rows`);
});

test('a publication that disappears and returns is picked up again', async (t) => {
  const source = await withTable(t, 'id int primary key');
  const recording = await subscribe(await makeClient(t), table(source));
  const tables = (await sql("select schemaname, tablename from pg_publication_tables where pubname = 'supabase_realtime'")).rows;
  await sql('drop publication supabase_realtime');
  await sql(`insert into ${source.quoted} values (1)`);
  await sql('create publication supabase_realtime');
  for (const { schemaname, tablename } of tables) await sql(`alter publication supabase_realtime add table "${schemaname}"."${tablename}"`);
  let id = 1;
  await waitFor(async () => {
    id += 1;
    await sql(`insert into ${source.quoted} values (${id})`);
    return recording.events.some((event) => event.new.id > 1);
  }, () => `a row after the publication returned; saw ${recording.describe()}`, 30000);
  await recording.event((event) => event.new.id === id);
  const ids = recording.values();
  assert.deepEqual(ids, [...new Set(ids)].sort((a, b) => a - b), 'no row twice, in order');
  assert.ok(!recording.statuses.includes('CLOSED'));
});
