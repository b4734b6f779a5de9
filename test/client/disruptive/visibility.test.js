'use strict';
// The walsender sees a commit before anybody else does. A client must not: what it was told of, it can read.
const test = require('node:test');
const assert = require('node:assert/strict');
const { withTable, connect, sql, rows, one } = require('../lib/sql');
const { RawClient } = require('../lib/raw');
const { withSetting } = require('../lib/server');
const { Log } = require('../lib/log');
const { table } = require('../lib/clients');
const { waitFor } = require('../lib/wait');

const kWriters = 4;
const kReaders = 4;
const kRowsEach = 400;

// Reads each row back as soon as its event arrives: `read` has the ids that were found, `missing` the others.
async function readBack(t, raw, source) {
  const result = { read: [], missing: [] };
  const readers = [];
  for (let i = 0; i < kReaders; i += 1) readers.push({ client: await connect(t), last: Promise.resolve() });
  raw.socket.on('message', (data) => {
    const frame = JSON.parse(data.toString());
    if (frame[3] !== 'postgres_changes') return;
    const { id } = frame[4].data.record;
    const reader = readers[id % kReaders];
    reader.last = reader.last.then(async () => {
      const found = await reader.client.query(`select 1 from ${source.quoted} where id = $1`, [id]);
      (found.rows.length > 0 ? result.read : result.missing).push(id);
    });
  });
  return result;
}

test('a row is visible when its event arrives, under load', async (t) => {
  const source = await withTable(t, 'id int primary key');
  const raw = await RawClient.open(t);
  await raw.listen('realtime:visible', [table(source)]);
  const result = await readBack(t, raw, source);
  await Promise.all(Array.from({ length: kWriters }, async (_, writer) => {
    const client = await connect(t);
    for (let i = 0; i < kRowsEach; i += 1) await client.query(`insert into ${source.quoted} values (${writer * kRowsEach + i})`);
  }));
  await waitFor(() => result.read.length + result.missing.length >= kWriters * kRowsEach, () => `all rows; read ${result.read.length}`);
  assert.deepEqual(result.missing, []);
  assert.equal(new Set(result.read).size, kWriters * kRowsEach);
});

test('a commit that waits for a standby is not delivered before it is visible', async (t) => {
  const source = await withTable(t, 'id int primary key');
  const raw = await RawClient.open(t);
  await raw.listen('realtime:waiting', [table(source)]);
  const events = () => raw.frames.filter((frame) => frame.event === 'postgres_changes');
  const result = await readBack(t, raw, source);
  const writer = await connect(t);
  await withSetting(t, 'synchronous_standby_names', 'a_standby_that_does_not_exist');
  const waiting = async () => (await rows("select 1 from pg_stat_activity where wait_event = 'SyncRep'")).length;
  // Commits wait as soon as the checkpointer has read the setting.
  const probe = await connect(t);
  let ended;
  let probed;
  do {
    ended = false;
    probed = probe.query("select pg_logical_emit_message(true, 'probe', '')").then(() => { ended = true; });
    await waitFor(async () => ended || (await waiting()) > 0, 'the setting');
  } while (ended);
  const commit = writer.query(`insert into ${source.quoted} values (1)`);
  await waitFor(async () => (await waiting()) > 1, 'the commit to wait');
  const flushed = await one('select pg_current_wal_flush_lsn()');
  await waitFor(async () => (await rows(
    "select 1 from pg_stat_replication where application_name = 'realtime' and sent_lsn >= $1", [flushed])).length > 0,
  'the walsender to have sent the commit');
  // Several turns of the worker later it is still not there.
  for (let i = 0; i < 50; i += 1) {
    await raw.heartbeat();
    assert.equal((await rows(`select 1 from ${source.quoted}`)).length, 0);
    assert.equal(events().length, 0, 'nobody can see the row yet');
  }
  await sql('alter system reset synchronous_standby_names');
  await sql('select pg_reload_conf()');
  await Promise.all([probed, commit]);
  await waitFor(() => result.read.length > 0, 'the event after the commit');
  assert.deepEqual(result, { read: [1], missing: [] });
});

test('synchronous_standby_names that match the worker do not block commits', async (t) => {
  const source = await withTable(t, 'id int primary key');
  const raw = await RawClient.open(t);
  await raw.listen('realtime:sync', [table(source)]);
  const log = new Log();
  const result = await readBack(t, raw, source);
  const writer = await connect(t);
  await withSetting(t, 'synchronous_standby_names', '*');
  const state = () => one("select sync_state from pg_stat_replication where application_name = 'realtime'");
  await waitFor(async () => (await state()) === 'sync', 'the worker to count as a standby');
  for (let id = 1; id <= 30; id += 1) await writer.query(`insert into ${source.quoted} values (${id})`);
  await waitFor(() => result.read.length >= 30, () => `30 rows; read ${result.read.length}`);
  const ids = raw.frames.filter((frame) => frame.event === 'postgres_changes').map((frame) => frame.payload.data.record.id);
  assert.deepEqual(ids, Array.from({ length: 30 }, (_, i) => i + 1));
  assert.deepEqual(result.missing, []);
  assert.match(await log.hint('synchronous_standby_names includes the realtime worker'), /Change synchronous_standby_names/);
  assert.equal(log.count('synchronous_standby_names includes'), 1, 'said once');

  await sql('alter system reset synchronous_standby_names');
  await sql('select pg_reload_conf()');
  await log.line('commits no longer wait for the realtime worker');
  await writer.query(`insert into ${source.quoted} values (31)`);
  await waitFor(() => result.read.includes(31), 'a row after the setting is gone');
});
