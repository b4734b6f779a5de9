'use strict';
// The newest client's joins that wait for postgres_changes, while the change stream cannot start: its slot waits for an old
// transaction to end.
const test = require('node:test');
const assert = require('node:assert/strict');
const { Cluster } = require('../lib/cluster');
const { makeClient, watch, kNewest } = require('../lib/clients');
const { connect } = require('../lib/sql');

const kBinding = [{ event: '*', schema: 'public', table: 'later' }];

// A server of its own with such a transaction; `old` ends it.
async function stuckCluster(t) {
  const cluster = await Cluster.start(t);
  await cluster.serving();
  await cluster.sql("create table later (id int); grant select on later to anon; select realtime.publish('later')");
  const old = await connect(t, { host: cluster.env.PGHOST, port: Number(cluster.env.PGPORT), user: cluster.env.PGUSER });
  await old.query('begin');
  await old.query('select pg_current_xact_id()');
  return { cluster, old };
}

async function waitingJoin(t, cluster, timeout) {
  const client = await makeClient(t, { library: kNewest, url: cluster.env.REALTIME_URL, key: cluster.env.ANON_KEY });
  return watch(client, kBinding, { config: { postgres_changes_options: { wait: true, timeout } } });
}

test('a join that waits is refused with the cause when its time is over', async (t) => {
  const { cluster } = await stuckCluster(t);
  const began = Date.now();
  const recording = await waitingJoin(t, cluster, 1500);
  await recording.status('CHANNEL_ERROR');
  assert.match(recording.errors[0].message,
    /^PostgresChangesSubscribeTimeout: the change stream is not available: .*waits for older transactions to end/);
  assert.ok(Date.now() - began >= 1500, 'not before its time');
  assert.ok(!recording.statuses.includes('SUBSCRIBED'));
});

test('a join that waits is answered as soon as the stream is there, and misses nothing after that', async (t) => {
  const { cluster, old } = await stuckCluster(t);
  const recording = await waitingJoin(t, cluster, 20000);
  await cluster.log.line('waits for older transactions');
  assert.deepEqual(recording.statuses, []);
  await old.query('commit');
  await recording.status('SUBSCRIBED');
  await cluster.sql('insert into later values (7)');
  await recording.count(1);
  assert.deepEqual(recording.values(), [7]);
  assert.deepEqual(recording.statuses, ['SUBSCRIBED']);
});
