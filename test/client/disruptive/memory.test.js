'use strict';
// What waits for a client is bounded: the limits of the settings hold for the memory that is really used.
const fs = require('node:fs');
const test = require('node:test');
const assert = require('node:assert/strict');
const { withTable, sql, rows, walsender } = require('../lib/sql');
const { RawClient } = require('../lib/raw');
const { withSetting, restart, serving, workerPid } = require('../lib/server');
const { table } = require('../lib/clients');
const { waitFor } = require('../lib/wait');

const kRows = 200000;  // some 80 MB of messages
const kMib = 1024;
const kNoiseKib = 256;
const kQueuesMib = 32;  // realtime.max_mailbox and realtime.max_client_queue
const kMostMib = 64;    // with realtime.history_size, and what it takes to keep them in order

const kPausing = 10;
const kRowsEach = 25000;  // some 10 MB of messages for each
const kBurstMib = 80;
const kKeptMib = 48;      // realtime.history_size and more

// AddressSanitizer surrounds what is allocated, and keeps what is freed.
const kMeasurable = !process.env.CLUSTER_SERVER_ENV?.includes('ASAN_OPTIONS');

const memoryKib = (pid) => Number(/RssAnon:\s*(\d+)/.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))[1]);

// Resolves once walsender waits for the worker, and the worker's memory does not change any more: within 30 s, after which the
// client is cut. AddressSanitizer keeps what is freed, so that looking at a slow client again and again takes a little.
function streamStands(pid) {
  let looks = 0;
  let since = 0;
  return waitFor(async () => {
    const [stream] = await rows('select wait_event from pg_stat_activity where pid = $1', [await walsender()]);
    const memory = memoryKib(pid);
    const stands = stream?.wait_event === 'WalSenderWriteData' && Math.abs(memory - since) < kNoiseKib;
    looks = stands ? looks + 1 : 0;
    if (!stands) since = memory;
    return looks >= 20;
  }, () => `the stream to stand; the worker has ${since} KiB`, 120000);
}

test('a large transaction waits for a client that stops reading, within 64 MiB of memory', async (t) => {
  await withSetting(t, 'realtime.slow_client_grace', '300s');
  restart();  // or memory that was used before could be used again unseen
  await serving();
  const source = await withTable(t, 'id int primary key, body text');
  const client = await RawClient.open(t);
  await client.listen('realtime:pausing', [table(source)]);
  const ids = [];
  client.socket.removeAllListeners('message');
  client.socket.on('message', (bytes) => ids.push(Number(/"record":\{"id":(\d+)/.exec(bytes.toString())?.[1])));
  const pid = await workerPid();
  const before = memoryKib(pid);
  client.socket.pause();
  await sql(`insert into ${source.quoted} select i, repeat('x', 100) from generate_series(1, ${kRows}) i`);
  await streamStands(pid);
  const grown = (memoryKib(pid) - before) / kMib;
  assert.ok(grown > kQueuesMib, `the queues were full: ${grown} MiB`);
  if (kMeasurable) assert.ok(grown < kMostMib, `${grown} MiB`);
  client.socket.resume();
  await waitFor(() => ids.length >= kRows || client.closed, () => `all rows; saw ${ids.length}`, 120000);
  assert.equal(client.closed, null);
  assert.ok(ids.length === kRows && ids.every((id, i) => id === i + 1), 'each row once, in order');
});

test('what waited for clients is given back to the system when it is over', async (t) => {
  await withSetting(t, 'realtime.slow_client_grace', '300s');
  restart();
  await serving();
  const source = await withTable(t, 'id int primary key, body text');
  const clients = await Promise.all(Array.from({ length: kPausing }, () => RawClient.open(t)));
  for (const [i, client] of clients.entries()) {
    await client.listen(`realtime:pausing-${i}`, [table(source)]);  // of a topic of its own: nothing is shared
    client.seen = 0;
    client.socket.removeAllListeners('message');
    client.socket.on('message', () => { client.seen += 1; });
  }
  const pid = await workerPid();
  const before = memoryKib(pid);
  const grown = () => (memoryKib(pid) - before) / kMib;
  for (const client of clients) client.socket.pause();
  await sql(`insert into ${source.quoted} select i, repeat('x', 100) from generate_series(1, ${kRowsEach}) i`);
  await waitFor(() => grown() > kBurstMib, () => `the queues to fill; they hold ${grown()} MiB`, 120000);
  for (const client of clients) client.socket.resume();
  await waitFor(() => clients.every((client) => client.seen >= kRowsEach), () => `all rows; saw ${clients.map((client) => client.seen)}`, 120000);
  if (kMeasurable) await waitFor(() => grown() < kKeptMib, () => `memory to be given back; ${grown()} MiB are not`, 60000);
});
