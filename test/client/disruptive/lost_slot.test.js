'use strict';
// The slot is taken away: what was missed is told, once, and reading goes on with a new one.
const test = require('node:test');
const assert = require('node:assert/strict');
const { withTable, sql, rows, waitForWalsender } = require('../lib/sql');
const { cleanup } = require('../lib/cleanup');
const { makeClient, subscribe, table, kVersions } = require('../lib/clients');
const { waitForWorker, signal, withSetting } = require('../lib/server');
const { Log } = require('../lib/log');
const { waitFor } = require('../lib/wait');

const slot = async () => (await rows("select active, wal_status from pg_replication_slots where slot_name = 'realtime'"))[0];
const switchWal = () => sql('select pg_logical_emit_message(true, \'x\', repeat(\'x\', 1000000)); select pg_switch_wal()');

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
    cleanup(t, () => signal(worker, 'CONT'));
    signal(worker, 'STOP');
    await sql(`insert into ${source.quoted} values (2)`);
    await take();
    signal(worker, 'CONT');
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
}
