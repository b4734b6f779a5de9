'use strict';
// DROP DATABASE of the served database while clients listen: the worker makes way, and for nobody who may not drop it.
const test = require('node:test');
const assert = require('node:assert/strict');
const { Cluster } = require('../lib/cluster');
const { serveDatabase } = require('../lib/hosted');
const { Outage, kBinding } = require('../lib/outage');
const { waitFor } = require('../lib/wait');
const { Client } = require('pg');

const kDatabase = 'served';
const kExtension = 'create extension realtime; select realtime.install_supabase_roles()';

async function served(t) {
  const cluster = await Cluster.start(t, '', { extension: false });
  await serveDatabase(cluster, kDatabase, '');
  return Outage.prepare(t, cluster, { database: kDatabase });
}

for (const force of ['', ' with (force)']) {
  test(`drop database${force}: succeeds and clients are told${force ? '' : '; a new one is served again'}`, async (t) => {
    const outage = await served(t);
    const { cluster } = outage;
    const recording = await outage.subscriber();
    const raw = await cluster.client(t);
    await raw.listen('realtime:raw', [kBinding]);
    await outage.delivers(recording);
    const at = Date.now();
    await cluster.sql(`drop database ${kDatabase}${force}`);
    assert.ok(Date.now() - at < 5000, `took ${Date.now() - at} ms`);
    assert.equal((await raw.close()).code, 1012);
    assert.deepEqual(await cluster.sql('select slot_name from pg_replication_slots'), []);
    await cluster.log.line(`database "${kDatabase}" does not exist, so the realtime worker serves nothing`);

    if (!force) {
      await cluster.sql(`create database ${kDatabase}`);
      await cluster.sql(kExtension, { database: kDatabase });
      await outage.makeTable();
      await outage.comesBack(recording);
    }
    assert.equal(cluster.log.count('FATAL'), 0, cluster.log.lines().filter((line) => line.includes('FATAL')).join('\n'));
  });
}

test('a drop that fails for another session: the worker comes back, and so do clients', async (t) => {
  const outage = await served(t);
  const recording = await outage.subscriber();
  const { PGHOST: host, PGPORT: port, PGUSER: user } = outage.cluster.env;
  const other = new Client({ host, port: Number(port), user, database: kDatabase });
  await other.connect();
  await assert.rejects(outage.cluster.sql(`drop database ${kDatabase}`), /is being accessed by other users/);
  await other.end();
  await outage.comesBack(recording);
});

test('who may not drop the database, or not so, does not end the worker', async (t) => {
  const outage = await served(t);
  const { cluster } = outage;
  const recording = await outage.subscriber();
  const pid = await outage.workerPid();
  await cluster.sql('create role stranger createdb');
  await cluster.sql('create database unrelated');
  const refused = (text, reason, options) => assert.rejects(cluster.sql(text, options), reason);
  for (const force of ['', ' with (force)']) {
    await refused(`set role stranger; drop database ${kDatabase}${force}`, /transaction block/);
    const { PGHOST: host, PGPORT: port, PGUSER: user } = cluster.env;
    const stranger = new Client({ host, port: Number(port), user, database: 'postgres', options: '-c role=stranger' });
    await stranger.connect();
    await assert.rejects(stranger.query(`drop database ${kDatabase}${force}`), /must be owner/);
    await stranger.end();
    await refused(`begin; drop database ${kDatabase}${force}`, /transaction block/);
    await refused(`drop database ${kDatabase}${force}`, /currently open database/, { database: kDatabase });
  }
  await cluster.sql('drop database unrelated');
  await cluster.sql('drop database if exists nothing');
  await outage.delivers(recording);
  assert.equal(await outage.workerPid(), pid);
  assert.deepEqual(recording.statuses, ['SUBSCRIBED']);
});

test('a drop that is cancelled lets the worker back in', async (t) => {
  const outage = await served(t);
  const { cluster } = outage;
  const recording = await outage.subscriber();
  const { PGHOST: host, PGPORT: port, PGUSER: user } = cluster.env;
  const other = new Client({ host, port: Number(port), user, database: kDatabase });
  await other.connect();
  const dropper = new Client({ host, port: Number(port), user, database: 'postgres' });
  dropper.on('error', () => {});
  await dropper.connect();
  const pid = (await dropper.query('select pg_backend_pid() as pid')).rows[0].pid;
  const dropped = assert.rejects(dropper.query(`drop database ${kDatabase}`));
  await waitFor(async () => (await cluster.sql("select 1 from pg_stat_activity where datname = '" + kDatabase + "' and backend_type = 'realtime worker'")).length === 0,
    'the worker to leave');
  await cluster.sql(`select pg_terminate_backend(${pid})`);
  await dropped;
  await other.end();
  await outage.comesBack(recording);
});
