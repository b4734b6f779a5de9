'use strict';
// Memory runs out in the network thread, again and again: the server stays up, and whoever is served gets every message.
const test = require('node:test');
const assert = require('node:assert/strict');
const { Faults } = require('../lib/faults');
const { Outage } = require('../lib/outage');
const { Room } = require('../lib/room');
const { kVersions } = require('../lib/clients');
const { waitFor } = require('../lib/wait');

const kFailures = 300;

// Rows without a gap from each subscription to the next: nobody misses one silently.
function hasNoGap(recording, reports) {
  for (const [i, row] of recording.events.entries()) {
    const previous = recording.events[i - 1];
    if (!previous || row.new.id === previous.new.id + 1) continue;
    assert.ok(reports.some((at) => at > previous.at && at <= row.at),
      `row ${row.new.id} came after ${previous.new.id} without a new subscription`);
  }
}

// [every so many-th, from so many bytes]: often in small things, and always in large ones.
for (const [every, from] of [[40, 0], [3, 512]]) {
  test(`each ${every}. allocation of ${from} bytes or more fails: no crash, no silent gap, all come back`, async (t) => {
    const { cluster, faults } = await Faults.start(t);
    const outage = await Outage.prepare(t, cluster);
    const recordings = [];
    const reports = [];
    for (const vsn of kVersions) {
      const recording = await outage.subscriber({ vsn });
      const seen = [];
      recording.events.push = (event) => Array.prototype.push.call(recording.events, { ...event, at: process.hrtime.bigint() });
      recording.systems.push = (message) => {
        seen.push(process.hrtime.bigint());
        return Array.prototype.push.call(recording.systems, message);
      };
      recordings.push(recording);
      reports.push(seen);
    }
    const room = new Room(await outage.client(), 'starving');
    await room.status('SUBSCRIBED');
    const before = { start: await outage.startTime(), worker: await outage.workerPid() };

    faults.set('starveFrom', from);
    faults.set('starveEvery', every);
    await waitFor(async () => {
      await outage.write();
      room.send('x', { id: outage.id });
      return faults.get('starved') >= kFailures;
    }, () => `${kFailures} failures; saw ${faults.get('starved')}`, 60000);
    faults.set('starveEvery', 0);

    const mark = outage.id;
    for (const recording of recordings) {
      await waitFor(async () => {
        await outage.write();
        return recording.events.some((event) => event.new.id > mark);
      }, () => `rows again; saw ${recording.describe()}`, 60000);
    }
    recordings.forEach((recording, i) => hasNoGap(recording, reports[i]));
    assert.equal(await outage.startTime(), before.start, 'the server was not restarted');
    assert.equal(cluster.log.count('terminated by signal'), 0);
    assert.equal(await outage.workerPid(), before.worker, 'the worker went on');
  });
}
