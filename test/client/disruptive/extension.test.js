'use strict';
// CREATE and DROP EXTENSION while the server runs.
const test = require('node:test');
const assert = require('node:assert/strict');
const { withTable, sql, rows } = require('../lib/sql');
const { cleanup } = require('../lib/cleanup');
const { makeClient, subscribe, table } = require('../lib/clients');
const { RawClient } = require('../lib/raw');
const { answers, serving } = require('../lib/server');
const { waitFor } = require('../lib/wait');

test('DROP EXTENSION closes clients and the slot; CREATE EXTENSION brings both back', async (t) => {
  cleanup(t, async () => {
    await sql('create extension if not exists realtime');
    await sql('select realtime.install_supabase_roles()');
    await serving();
  });
  const source = await withTable(t, 'id int primary key');
  const recording = await subscribe(await makeClient(t), table(source));
  const raw = await RawClient.open(t);
  await raw.listen('realtime:drop', [table(source)]);
  await sql('drop extension realtime');
  assert.equal((await raw.close()).code, 1012);
  const last = raw.frames.at(-1);
  assert.deepEqual([last.event, last.payload.message], ['system', 'Server requested disconnect']);
  await waitFor(async () => !(await answers()), 'the port to be closed');
  const slots = () => rows("select 1 from pg_replication_slots where slot_name = 'realtime'");
  await waitFor(async () => (await slots()).length === 0, 'the slot to be dropped');

  await sql('create extension realtime');
  await serving();
  await waitFor(() => recording.statuses.filter((status) => status === 'SUBSCRIBED').length >= 2,
    () => `the client to come back; saw ${recording.describe()}`, 60000);
  await recording.system('ok', 2);
  await sql(`insert into ${source.quoted} values (1)`);
  await recording.event((event) => event.new.id === 1);
});

test('tables and rows written while the extension is away do no harm', async (t) => {
  cleanup(t, async () => {
    await sql('create extension if not exists realtime');
    await sql('select realtime.install_supabase_roles()');
    await serving();
  });
  const source = await withTable(t, 'id int primary key');
  await sql('drop extension realtime');
  await sql(`insert into ${source.quoted} values (1)`);
  await sql('create extension realtime');
  await serving();
  const recording = await subscribe(await makeClient(t), table(source));
  await sql(`insert into ${source.quoted} values (2)`);
  await recording.count(1);
  assert.deepEqual(recording.values(), [2]);
});
