'use strict';
// The wall clock is set forward and back while clients listen: time-outs and intervals do not follow it, tokens' ends do.
const test = require('node:test');
const assert = require('node:assert/strict');
const { Faults } = require('../lib/faults');
const { Outage } = require('../lib/outage');
const { waitFor } = require('../lib/wait');
const { makeToken } = require('../lib/token');

const kHour = 3600;

test('the clock jumps an hour ahead, a day back and home: nobody is disconnected, nothing is lost', async (t) => {
  const { cluster, faults } = await Faults.start(t, 'realtime.max_slot_age = 60s');
  const outage = await Outage.prepare(t, cluster);
  const recording = await outage.subscriber();
  const raw = await cluster.client(t);
  const pid = await outage.workerPid();
  const walsender = async () => (await cluster.sql("select pid from pg_stat_replication where application_name = 'realtime'"))[0]?.pid;
  const stream = await walsender();
  for (const step of [kHour, -24 * kHour, 0]) {
    faults.set('clockStep', step);
    await waitFor(async () => Math.abs((await cluster.sql('select extract(epoch from clock_timestamp())::float8 as at'))[0].at
      - Date.now() / 1000 - step) < 60, 'the step to be seen');
    for (let i = 0; i < 20; i += 1) await outage.delivers(recording, 5000);
    await raw.heartbeat();
      await waitFor(async () => (await cluster.sql("select active and confirmed_flush_lsn > '0/0' as good from pg_replication_slots"))[0]?.good, 'the slot to be in use');
  }
  assert.deepEqual(recording.values(), Array.from({ length: outage.id }, (_, i) => i + 1), 'each row once, in order');
  assert.deepEqual(recording.statuses, ['SUBSCRIBED']);
  assert.equal(raw.closed, null);
  assert.equal(await walsender(), stream, 'the stream was not made anew');
  assert.equal(await outage.workerPid(), pid);
  assert.equal(cluster.log.count('starts over'), 0);
});

test('tokens are judged by the wall clock as it is now', async (t) => {
  const { cluster, faults } = await Faults.start(t);
  await Outage.prepare(t, cluster);
  const token = makeToken({ role: 'anon' }, { secret: cluster.env.JWT_SECRET });
  const raw = await cluster.client(t);
  assert.equal((await raw.join('realtime:one', { token })).payload.status, 'ok');
  faults.set('clockStep', 2 * kHour);
  const late = await raw.join('realtime:two', { token });
  assert.equal(late.payload.status, 'error');
  assert.match(late.payload.response.reason, /Token has expired/);
  faults.set('clockStep', 0);
  assert.equal((await raw.join('realtime:three', { token })).payload.status, 'ok');
  await raw.heartbeat();
});

test('the worker leaves in time although the clock was just set back', async (t) => {
  const { cluster, faults } = await Faults.start(t);
  const outage = await Outage.prepare(t, cluster);
  const recording = await outage.subscriber();
  await outage.delivers(recording);
  const pid = await outage.workerPid();
  const at = Date.now();
  await cluster.sql(`select pg_terminate_backend(${pid})`);
  faults.set('clockStep', -kHour);
  await waitFor(async () => (await outage.workerPid()) !== pid, 'the worker to end');
  assert.ok(Date.now() - at < 3000, `ended after ${Date.now() - at} ms`);
  // The postmaster starts it again after a second of the wall clock. If it looked while that was wrong, it sleeps for a minute;
  // a signal wakes it.
  faults.set('clockStep', 0);
  await cluster.sql('select pg_reload_conf()');
  await outage.comesBack(recording);
});
