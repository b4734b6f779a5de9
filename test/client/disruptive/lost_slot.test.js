'use strict';
// The slot is taken away: what was missed is told, once, and reading goes on with a new one.
const test = require('node:test');
const assert = require('node:assert/strict');
const { withTable, sql, rows, waitForWalsender } = require('../lib/sql');
const { cleanup } = require('../lib/cleanup');
const { makeClient, subscribe, table, newTopic, kVersions } = require('../lib/clients');
const { withPolicies, mayRead } = require('../lib/policies');
const { enter } = require('../lib/room');
const { userToken } = require('../lib/token');
const { waitForWorker, signal, withSetting } = require('../lib/server');
const { Log } = require('../lib/log');
const { waitFor } = require('../lib/wait');

const slot = async () => (await rows("select active, wal_status from pg_replication_slots where slot_name = 'realtime'"))[0];
const switchWal = () => sql('select pg_logical_emit_message(true, \'x\', repeat(\'x\', 1000000)); select pg_switch_wal()');

async function whileStopped(t, worker, act) {
  cleanup(t, () => signal(worker, 'CONT'));
  signal(worker, 'STOP');
  await act();
  signal(worker, 'CONT');
}

// What is done to the slot while the worker stands still, and what is said of it.
for (const [what, take, reason] of [
  ['invalidated by max_slot_wal_keep_size', async () => {
    for (let i = 0; i < 4; i += 1) await switchWal();
    await sql('checkpoint');
    await waitFor(async () => (await slot())?.wal_status === 'lost', async () => `the slot to be invalidated; is ${JSON.stringify(await slot())}`);
  }, 'the replication slot was invalidated because its WAL was removed'],
  ['dropped by somebody', async () => {
    await sql('select pg_terminate_backend($1)', [await waitForWalsender()]);
    await waitFor(async () => !(await slot()).active, 'the slot to be free');
    await sql("select pg_drop_replication_slot('realtime')");
  }, 'the replication slot was dropped by somebody else'],
]) {
  test(`a slot that is ${what}: clients are told what they missed, and get what follows`, async (t) => {
    await withSetting(t, 'max_slot_wal_keep_size', '1MB');
    const source = await withTable(t, 'id int primary key');
    const recordings = [];
    for (const vsn of kVersions) recordings.push(await subscribe(await makeClient(t, { vsn }), table(source)));
    await sql(`insert into ${source.quoted} values (1)`);
    for (const recording of recordings) await recording.event((event) => event.new.id === 1);
    const log = new Log();
    const worker = await waitForWorker();
    await whileStopped(t, worker, async () => {
      await sql(`insert into ${source.quoted} values (2)`);
      await take();
    });
    for (const recording of recordings) {
      await waitFor(() => recording.systems.some((system) => system.message === `Changes may have been missed: ${reason}`),
        () => `the notice; saw ${recording.describe()}`, 30000);
    }
    await sql(`insert into ${source.quoted} values (3)`);
    for (const recording of recordings) {
      await recording.event((event) => event.new.id === 3);
      assert.equal(recording.systems.filter((system) => /missed/.test(system.message)).length, 1, 'told once');
      assert.deepEqual(recording.statuses, ['SUBSCRIBED'], 'the channel stayed');
    }
    assert.deepEqual((await slot()).active, true);
    assert.equal(await waitForWorker(), worker);
    assert.equal(log.count('terminated by signal'), 0);
  });

  // What is sent from SQL comes on the same slot.
  test(`a slot that is ${what}: channels that hear nothing but broadcasts are told, and get what follows`, async (t) => {
    await withSetting(t, 'max_slot_wal_keep_size', '1MB');
    const topic = newTopic('missed');
    await withPolicies(t, mayRead(topic));
    const rooms = [];
    for (const vsn of kVersions) {
      for (const isPrivate of [false, true]) {
        const client = await makeClient(t, { vsn, token: userToken('88888888-8888-4888-8888-888888888881') });
        rooms.push(await enter(client, topic, { config: { private: isPrivate, broadcast: { replication_ready: true } } }));
      }
    }
    for (const room of rooms) await room.ready();
    const send = (event) => sql('select realtime.send($1, $2, $3, false), realtime.send($1, $2, $3, true)', ['{}', event, topic]);
    await send('before');
    for (const room of rooms) await room.broadcast('before');
    await whileStopped(t, await waitForWorker(), async () => {
      await send('missed');
      await take();
    });
    const told = (room) => room.systems.filter(({ message }) => message === `Changes may have been missed: ${reason}`);
    for (const room of rooms) await waitFor(() => told(room).length > 0, () => `the notice; saw ${JSON.stringify(room.systems)}`, 30000);
    await send('after');
    for (const room of rooms) {
      await room.broadcast('after');
      assert.deepEqual(told(room).map(({ status, extension }) => [status, extension]), [['error', 'system']], 'told once');
      assert.deepEqual(room.statuses, ['SUBSCRIBED'], 'the channel stayed');
    }
  });
}
