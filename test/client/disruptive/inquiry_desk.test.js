'use strict';
// Backends that read a view of the worker and are cancelled, or ended, in the midst of it: the next one is answered, and the
// worker keeps no answer that nobody fetches.
const fs = require('node:fs');
const test = require('node:test');
const assert = require('node:assert/strict');
const { connect, rows, sql } = require('../lib/sql');
const { makeClient, newTopic } = require('../lib/clients');
const { enter } = require('../lib/room');
const { workerPid } = require('../lib/server');
const { waitFor } = require('../lib/wait');

const kRounds = 25;
const kReaders = 6;
const kRead = 'select count(*) from generate_series(1, 200) i, lateral (select i, count(*) from realtime.stat_channels) x';

// Of dynamic shared memory, in the process's address space.
const segments = (pid) => fs.readFileSync(`/proc/${pid}/maps`, 'utf8').split('\n').filter((line) => /PostgreSQL\.\d+/.test(line)).length;

test('readers that are cancelled or ended in the midst hold up nobody and leave nothing behind', async (t) => {
  const client = await makeClient(t);
  for (let i = 0; i < 20; i += 1) await enter(client, newTopic());
  const worker = await workerPid();
  await rows('select * from realtime.stat_channels');
  const before = await waitFor(() => segments(worker), 'segments');
  let ended = 0;
  for (let round = 0; round < kRounds; round += 1) {
    const readers = await Promise.all(Array.from({ length: kReaders }, () => connect(t)));
    const pids = readers.map((reader) => reader.processID);
    const reading = readers.map((reader) => reader.query(kRead).catch((error) => { ended += 1; return error; }));
    const way = round % 2 === 0 ? 'pg_cancel_backend' : 'pg_terminate_backend';
    await sql(`select ${way}(pid) from unnest($1::int[]) pid`, [pids]);
    await Promise.all(reading);
    for (const reader of readers) await reader.end().catch(() => {});
  }
  assert.ok(ended > kRounds, `only ${ended} were ended in the midst`);
  assert.equal((await rows('select * from realtime.stat_channels')).length >= 20, true);
  await waitFor(() => segments(worker) <= before, () => `${before} segments; there are ${segments(worker)}`);
  assert.equal(await workerPid(), worker);
});
