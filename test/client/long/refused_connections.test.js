'use strict';
// The served database does not let anybody in for a while.
const test = require('node:test');
const assert = require('node:assert/strict');
const { Client } = require('pg');
const { cleanup } = require('../lib/cleanup');
const { Cluster } = require('../lib/cluster');
const { Outage, missedNotice, kTable } = require('../lib/outage');
const { waitFor } = require('../lib/wait');

const kWalsender = "select pid from pg_stat_replication where application_name = 'realtime'";

test('ALLOW_CONNECTIONS false while clients listen: what is written meanwhile arrives when it is lifted', async (t) => {
  const cluster = await Cluster.start(t);
  const outage = await Outage.prepare(t, cluster);
  const recording = await outage.subscriber();
  await outage.delivers(recording);
  const inside = new Client({ host: cluster.env.PGHOST, port: Number(cluster.env.PGPORT), user: 'postgres', database: 'postgres' });
  await inside.connect();
  cleanup(t, () => inside.end());
  const outside = (text) => cluster.sql(text, { database: 'template1' });
  const worker = await outage.workerPid({ database: 'template1' });
  await outside('alter database postgres allow_connections false');
  await inside.query(`insert into ${kTable} values (2)`);
  await recording.event((event) => event.new.id === 2);

  const [{ pid }] = await outside(kWalsender);
  await outside(`select pg_terminate_backend(${pid})`);
  await cluster.log.line('is not currently accepting connections');
  await inside.query(`insert into ${kTable} values (3)`);
  await outside('alter database postgres allow_connections true');
  await recording.event((event) => event.new.id === 3);
  outage.id = 3;
  await outage.delivers(recording);
  assert.deepEqual(recording.values(), [1, 2, 3, 4]);
  assert.deepEqual(recording.statuses, ['SUBSCRIBED']);
  assert.equal(missedNotice(recording), undefined);
  assert.equal(await outage.workerPid({ database: 'template1' }), worker);

  // A worker that has to start meanwhile says so and waits.
  await outside('alter database postgres allow_connections false');
  await outside(`select pg_terminate_backend(${worker})`);
  await cluster.log.line('database "postgres" does not accept connections');
  await outside('alter database postgres allow_connections true');
  await outage.comesBack(recording);
});

test('CONNECTION LIMIT 0: the worker and its stream are let in, also anew', async (t) => {
  const cluster = await Cluster.start(t);
  const outage = await Outage.prepare(t, cluster);
  const recording = await outage.subscriber();
  await cluster.sql('alter database postgres connection limit 0');
  const [{ pid }] = await cluster.sql(kWalsender);
  await cluster.sql(`select pg_terminate_backend(${pid})`);
  await waitFor(async () => ![undefined, pid].includes((await cluster.sql(kWalsender))[0]?.pid), 'the next stream');
  await outage.delivers(recording);
  await cluster.sql(`select pg_terminate_backend(${await outage.workerPid()})`);
  await outage.comesBack(recording);
});
