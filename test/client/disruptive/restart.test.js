'use strict';
// The worker or the whole server ends: clients are told where that is possible, and come back by themselves.
const test = require('node:test');
const assert = require('node:assert/strict');
const { withTable, sql, rows } = require('../lib/sql');
const { makeClient, subscribe, table, kVersions } = require('../lib/clients');
const { RawClient } = require('../lib/raw');
const { serving, waitForWorker, restart, signal, withSetting } = require('../lib/server');
const { userToken } = require('../lib/token');
const { waitFor } = require('../lib/wait');

const kComeBack = 60000;

// Waits for `count` subscriptions in all, then proves that rows arrive again.
async function comesBack(recording, source, count, id) {
  const subscribed = () => recording.systems.filter((s) => s.message === 'Subscribed to PostgreSQL').length;
  await waitFor(() => subscribed() >= count, () => `subscription ${count}; saw ${recording.describe()}`, kComeBack);
  await sql(`insert into ${source.quoted} values (${id})`);
  await recording.event((event) => event.new.id === id);
}

async function isDrained(raw) {
  assert.equal((await raw.close()).code, 1012);
  const goodbye = raw.frames.filter((frame) => frame.payload?.message === 'Server requested disconnect');
  assert.equal(goodbye.length, 1, 'one goodbye for each joined topic');
  assert.equal(goodbye[0].join_ref, null);
  assert.deepEqual(goodbye[0].payload, { extension: 'system', status: 'ok', message: 'Server requested disconnect' });
}

for (const [what, stop, fromPostgres] of [
  ['SIGTERM of the worker', async () => sql('select pg_terminate_backend($1)', [await waitForWorker()]), false],
  ['a fast restart of the server', async () => restart('fast'), true],
]) {
  test(`${what}: clients are told, closed with 1012, and come back`, async (t) => {
    const source = await withTable(t, 'id int primary key');
    const recordings = [];
    for (const vsn of kVersions) recordings.push(await subscribe(await makeClient(t, { vsn }), table(source)));
    const raw = await RawClient.open(t);
    await raw.listen('realtime:drain', [table(source)]);
    await stop();
    await isDrained(raw);
    await serving();
    for (const [i, recording] of recordings.entries()) await comesBack(recording, source, 2, i + 1);
    const slots = await rows("select slot_name from pg_replication_slots where slot_name like 'realtime%'");
    assert.equal(slots.length, 1, `one slot after ${what}, also when Postgres ${fromPostgres ? 'was' : 'was not'} restarted`);
  });
}

test('kill -9 of the worker: PostgreSQL recovers, clients come back by themselves', async (t) => {
  const source = await withTable(t, 'id int primary key');
  const recordings = [];
  for (const vsn of kVersions) recordings.push(await subscribe(await makeClient(t, { vsn }), table(source)));
  const before = await waitForWorker();
  signal(before, 'KILL');
  await serving();
  assert.notEqual(await waitForWorker(), before);
  for (const [i, recording] of recordings.entries()) await comesBack(recording, source, 2, i + 1);
  await waitFor(async () => (await rows("select 1 from pg_replication_slots where slot_name = 'realtime' and active")).length === 1,
    'one active slot');
});

test('an immediate restart of the server: clients come back by themselves', async (t) => {
  const source = await withTable(t, 'id int primary key');
  const recording = await subscribe(await makeClient(t), table(source));
  restart('immediate');
  await serving();
  await comesBack(recording, source, 2, 1);
  assert.deepEqual(recording.values(), [1]);
});

test('the worker ends within a second of SIGTERM, also while a policy sleeps', async (t) => {
  await withSetting(t, 'realtime.policy_timeout', '60s');
  const source = await withTable(t, 'id int primary key', { rls: ['for select using (pg_sleep(60) is not null)'] });
  const token = userToken('88888888-8888-4888-8888-888888888888');
  await subscribe(await makeClient(t, { token }), table(source));
  await sql(`insert into ${source.quoted} values (1)`);
  const pid = await waitForWorker();
  const busy = () => rows("select 1 from pg_stat_activity where pid = $1 and wait_event = 'PgSleep'", [pid]);
  await waitFor(async () => (await busy()).length > 0, 'the policy to sleep');
  const at = Date.now();
  await sql('select pg_terminate_backend($1)', [pid]);
  await waitFor(async () => (await rows('select 1 from pg_stat_activity where pid = $1', [pid])).length === 0, 'the worker to end');
  assert.ok(Date.now() - at < 2000, `ended after ${Date.now() - at} ms`);
  await serving();
});
