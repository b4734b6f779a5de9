'use strict';
// Walsender writes what a large transaction does not fit into memory to disk, and the disk is full.
const test = require('node:test');
const assert = require('node:assert/strict');
const { Faults } = require('../lib/faults');
const { Outage, missedNotice, kTable } = require('../lib/outage');
const { waitFor } = require('../lib/wait');

const kRows = 5000;

test('a disk that is full while a transaction is spooled: once there is room it arrives, whole and once', async (t) => {
  const { cluster, faults } = await Faults.start(t, 'logical_decoding_work_mem = 64kB');
  const outage = await Outage.prepare(t, cluster);
  const recording = await outage.subscriber();
  await outage.delivers(recording);
  const before = await outage.startTime();
  faults.set('diskFull', 1);
  await outage.sql(`insert into ${kTable} select i, repeat('x', 100) from generate_series(${outage.id + 1}, ${outage.id + kRows}) i`);
  outage.id += kRows;
  await cluster.log.line('the change stream is not available');
  // More than the stream's failures at one place that are taken for hopeless.
  await waitFor(() => faults.get('diskRefusals') > 9, () => `ten attempts; saw ${faults.get('diskRefusals')}`, 60000);
  assert.equal(recording.events.length, 1);
  faults.set('diskFull', 0);
  await outage.delivers(recording);
  assert.ok(recording.values().every((id, i) => id === i + 1), 'each row once, in order');
  assert.deepEqual(recording.statuses, ['SUBSCRIBED']);
  assert.equal(missedNotice(recording), undefined, 'nothing was missed');
  assert.ok(cluster.log.count('WARNING:  StartReplicationFailed: the change stream is not available') <= 2, 'two lines at most, however often it was tried');
  assert.equal(await outage.startTime(), before);
});
