'use strict';
// Thousands of clients that lose their connection and come back at once; a thousand that stop reading. The others notice
// nothing.
const fs = require('node:fs');
const test = require('node:test');
const assert = require('node:assert/strict');
const { Client } = require('pg');
const { cleanup } = require('../lib/cleanup');
const { kVersions } = require('../lib/clients');
const { Cluster } = require('../lib/cluster');
const { Herd, possible } = require('../lib/herd');
const { Outage, kTable } = require('../lib/outage');
const { waitFor } = require('../lib/wait');

const kHerd = 10000;
const kStopped = 1000;
const kRowSize = 50000;
const kRows = 300;  // 15 MB for each of those who do not read: none reaches max_client_queue, all together hold 15 GB
const kLongestHeartbeatMs = 3000;
const kMostMib = 600;  // max_queue_memory, the mailbox, the history, and what a thousand connections cost

async function withHerd(t, conf) {
  const cluster = await Cluster.start(t, conf);
  const outage = await Outage.prepare(t, cluster);
  const others = [];
  for (const vsn of kVersions) others.push(await outage.subscriber({ vsn }));
  const herd = Herd.start(t, { port: cluster.port, key: cluster.env.ANON_KEY, table: kTable });
  return { cluster, outage, others, herd };
}

// Measures heartbeats until told to stop; returns the longest in ms.
function measureHeartbeats(t, raw) {
  let stopped = false;
  let longest = 0;
  const done = (async () => {
    while (!stopped) {
      const at = Date.now();
      await raw.reply(raw.push('phoenix', 'heartbeat', {}));
      longest = Math.max(longest, Date.now() - at);
    }
  })();
  const stop = async () => {
    stopped = true;
    await done;
    return longest;
  };
  cleanup(t, stop);
  return stop;
}

const memoryMib = (pid) => Number(/RssAnon:\s*(\d+)/.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) / 1024;

async function allCame(outage, recordings) {
  for (const recording of recordings) {
    await waitFor(() => recording.events.length >= outage.id, () => `${outage.id} rows; saw ${recording.events.length}`, 60000);
    assert.ok(recording.values().every((id, i) => id === i + 1), 'each row once, in order');
    assert.deepEqual(recording.statuses, ['SUBSCRIBED']);
  }
}

test(`${kHerd} clients that come back at once are all served again; others get every row meanwhile`, async (t) => {
  const count = possible(kHerd);
  const { cluster, outage, others, herd } = await withHerd(t, 'realtime.max_connections = 12000');
  const writer = new Client({ host: cluster.env.PGHOST, port: Number(cluster.env.PGPORT), user: 'postgres', database: 'postgres' });
  await writer.connect();
  const raw = await cluster.client(t);
  const stop = measureHeartbeats(t, raw);
  let returning = true;
  cleanup(t, async () => {
    returning = false;
    await written;
    await writer.end();
  });
  const written = (async () => {
    while (returning) {
      outage.id += 1;
      await writer.query(`insert into ${kTable} values (${outage.id})`);
      await new Promise((resolve) => { setTimeout(resolve, 1000); });
    }
  })();
  const rounds = [];
  for (let round = 0; round < 3; round += 1) {
    rounds.push(await herd.ask(`join ${count}`));
    if (round < 2) await herd.ask('drop');
  }
  returning = false;
  await written;
  await outage.write();
  await herd.ask('rows 1');
  await allCame(outage, others);
  const longest = await stop();
  t.diagnostic(`${count} clients: all joined after ${rounds.map(([, , ms, retries]) => `${ms} ms (${retries} retries)`).join(', ')}; longest heartbeat of another client ${longest} ms`);
  assert.ok(longest < kLongestHeartbeatMs, `a heartbeat took ${longest} ms`);
  assert.equal(cluster.log.count('terminated by signal'), 0);
});

test(`${kStopped} clients that stop reading: the others get every row, and memory stays bounded`, async (t) => {
  const { cluster, outage, others, herd } = await withHerd(t);
  const pid = await outage.workerPid();
  await herd.ask(`join ${kStopped}`);
  const raw = await cluster.client(t);
  const stop = measureHeartbeats(t, raw);
  await herd.ask('stop');
  let most = 0;
  const watch = setInterval(() => { most = Math.max(most, memoryMib(pid)); }, 50);
  cleanup(t, () => clearInterval(watch));
  for (let i = 0; i < kRows; i += 10) {
    await outage.sql(`insert into ${kTable} select i, repeat('x', ${kRowSize}) from generate_series(${outage.id + 1}, ${outage.id + 10}) i`);
    outage.id += 10;
  }
  await allCame(outage, others);
  await waitFor(() => cluster.log.count('closed the slow client') > 0, 'the line about slow clients');
  const longest = await stop();
  t.diagnostic(`${kStopped} that do not read: the worker had at most ${Math.round(most)} MiB; longest heartbeat ${longest} ms`);
  assert.ok(longest < kLongestHeartbeatMs, `a heartbeat took ${longest} ms`);
  assert.ok(most < kMostMib, `${most} MiB`);
  assert.equal(await outage.workerPid(), pid);
});
