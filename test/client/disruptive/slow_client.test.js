'use strict';
// A client that does not read is cut; nobody else waits for it for long.
const test = require('node:test');
const assert = require('node:assert/strict');
const { withTable, sql } = require('../lib/sql');
const { RawClient } = require('../lib/raw');
const { withSetting } = require('../lib/server');
const { makeClient, subscribe, table } = require('../lib/clients');
const { waitFor } = require('../lib/wait');

const kRowSize = 100000;
const kRows = 400;  // 40 MB: far more than the queue below and the kernel's buffers

test('a slow client is cut with a bounded queue, the others get everything', async (t) => {
  await withSetting(t, 'realtime.max_client_queue', '1MB');
  const source = await withTable(t, 'id int primary key, body text');
  const slow = await RawClient.open(t);
  await slow.listen('realtime:slow', [table(source)]);
  const healthy = await subscribe(await makeClient(t), table(source));
  slow.socket._socket.pause();
  for (let id = 1; id <= kRows; id += 10) {
    await sql(`insert into ${source.quoted} select i, repeat('x', ${kRowSize}) from generate_series(${id}, ${id + 9}) i`);
  }
  await waitFor(() => healthy.events.length >= kRows, () => `${kRows} rows at the healthy client; saw ${healthy.events.length}`, 60000);
  assert.deepEqual(healthy.values(), Array.from({ length: kRows }, (_, i) => i + 1));
  assert.deepEqual(healthy.statuses, ['SUBSCRIBED']);
  slow.socket._socket.resume();
  const { code } = await slow.close();
  assert.ok([1008, 1006].includes(code), `close code ${code}`);
  const received = slow.frames.filter((frame) => frame.event === 'postgres_changes').map((frame) => frame.payload.data.record.id);
  assert.ok(received.length < kRows, 'it was cut before the end');
  assert.deepEqual(received, Array.from({ length: received.length }, (_, i) => i + 1), 'what it got was in order, without gap');
});

test('a client that pauses for a moment gets everything', async (t) => {
  await withSetting(t, 'realtime.max_client_queue', '1MB');
  const source = await withTable(t, 'id int primary key, body text');
  const client = await RawClient.open(t);
  await client.listen('realtime:pausing', [table(source)]);
  const ids = () => client.frames.filter((frame) => frame.event === 'postgres_changes').map((frame) => frame.payload.data.record.id);
  // Reads in gulps: never quiet for as long as the grace period, and slower than the rows come.
  const rhythm = setInterval(() => {
    client.socket._socket.pause();
    setTimeout(() => client.socket._socket.resume(), 100).unref();
  }, 200);
  t.after(() => clearInterval(rhythm));
  await sql(`insert into ${source.quoted} select i, repeat('x', ${kRowSize}) from generate_series(1, ${kRows / 2}) i`);
  await waitFor(() => ids().length >= kRows / 2 || client.closed, () => `all rows; saw ${ids().length}`, 60000);
  assert.deepEqual(ids(), Array.from({ length: kRows / 2 }, (_, i) => i + 1));
  assert.equal(client.closed, null);
});
