'use strict';
// The replication slot keeps WAL and catalog rows: it exists only while somebody needs it, and not at any price.
const { spawn } = require('node:child_process');
const test = require('node:test');
const assert = require('node:assert/strict');
const { withTable, connect, sql, rows, one, walsender, waitForWalsender } = require('../lib/sql');
const { cleanup } = require('../lib/cleanup');
const { RawClient } = require('../lib/raw');
const { serving, waitForWorker, signal, withSetting } = require('../lib/server');
const { Log } = require('../lib/log');
const { table } = require('../lib/clients');
const { waitFor } = require('../lib/wait');

const slot = async () => (await rows("select active, active_pid, plugin from pg_replication_slots where slot_name = 'realtime'"))[0];

// With what uses it, where it stays.
async function noSlot() {
  const log = new Log();
  let seen;
  const user = async () => (await rows('select * from pg_stat_activity where pid = $1', [seen.active_pid]))[0];
  await waitFor(async () => {
    seen = await slot();
    if (seen) seen.user = await user();
    return !seen;
  }, () => `the slot to be gone; it is ${JSON.stringify(seen)}, and the log ends with ${log.lines().slice(-8).join(' | ')}`);
}

// A worker that nobody has asked for anything yet. Where the one before had no time to drop its slot, it does.
async function freshWorker() {
  const before = await waitForWorker();
  await sql('select pg_terminate_backend($1)', [before]);
  await waitFor(async () => (await waitForWorker()) !== before, 'the next worker');
  await serving();
  await noSlot();
}

async function listen(t, source, topic) {
  const raw = await RawClient.open(t);
  await raw.listen(topic, [table(source)]);
  return raw;
}

const missed = (raw) => waitFor(() => raw.frames.find((frame) => frame.event === 'system' && frame.payload.status === 'error'),
  () => `the message that changes were missed; saw ${raw.frames.slice(-3).map((f) => f.text)}`);

// 20 MB that are no change of any table.
const writeWal = () => sql("select count(pg_logical_emit_message(false, 'x', repeat('x', 1000000))) from generate_series(1, 20)");

test('slot and stream come with the first channel, stay when the last leaves, and go with the worker', async (t) => {
  await freshWorker();
  const idle = await RawClient.open(t);
  await idle.heartbeat();
  assert.equal(await slot(), undefined, 'a client without channels needs no slot');
  assert.equal(await walsender(), undefined);

  const source = await withTable(t, 'id int primary key');
  const raw = await listen(t, source, 'realtime:first');
  const { active_pid: pid, plugin } = await slot();
  assert.equal(plugin, 'pgoutput');
  assert.equal(pid, await walsender());
  raw.socket.close();
  await raw.close();
  // Somebody who comes back soon, as after a page reload, finds the same stream.
  await listen(t, source, 'realtime:second');
  assert.equal((await slot()).active_pid, pid);

  await freshWorker();
  assert.equal(await walsender(), undefined);
});

test('a slot left over by a crash is dropped before anybody subscribes', async (t) => {
  await freshWorker();
  await sql("select pg_create_logical_replication_slot('realtime', 'pgoutput')");
  const log = new Log();
  signal(await waitForWorker(), 'KILL');
  await serving();
  await noSlot();
  await log.line('dropped replication slot "realtime", left over by an earlier worker');
  const source = await withTable(t, 'id int primary key');
  const raw = await listen(t, source, 'realtime:after-crash');
  await sql(`insert into ${source.quoted} values (1)`);
  assert.equal((await raw.change()).payload.data.record.id, 1);
});

test('a slot of something else is left alone, and named to who has to wait for it', async (t) => {
  await freshWorker();
  const source = await withTable(t, 'id int primary key');
  const log = new Log();
  cleanup(t, () => sql("select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_type = 'physical'"));
  await sql("select pg_create_physical_replication_slot('realtime')");
  const raw = await RawClient.open(t);
  const reply = await raw.join('realtime:foreign', { bindings: [table(source)] });
  assert.equal(reply.payload.status, 'error');
  assert.match(reply.payload.response.reason, /replication slot "realtime" exists and belongs to something else/);
  assert.match(await log.hint('belongs to something else'), /Drop it, or set realtime\.slot_name/);
  assert.ok(await slot(), 'it is still there');

  await sql("select pg_drop_replication_slot('realtime')");
  await raw.listen('realtime:own', [table(source)]);
  assert.equal((await slot()).plugin, 'pgoutput');
  assert.equal(log.count('belongs to something else'), 1, 'one line however often it was tried');
});

test('without a free slot joins are refused with one line in the log; a freed slot is found', async (t) => {
  await freshWorker();
  const source = await withTable(t, 'id int primary key');
  const log = new Log();
  cleanup(t, () => sql("select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name like 'taken%'"));
  await sql(`select pg_create_physical_replication_slot('taken' || i)
             from generate_series(1, current_setting('max_replication_slots')::int) i`);
  const raw = await RawClient.open(t);
  const reply = await raw.join('realtime:full', { bindings: [table(source)] });
  assert.equal(reply.payload.status, 'error');
  assert.match(reply.payload.response.reason, /the change stream is not available/);
  assert.match(await log.hint('not available: all replication slots are in use'), /raise max_replication_slots/);
  assert.equal(log.count('not available: all replication slots are in use'), 1);
  await sql("select pg_drop_replication_slot('taken1')");
  await raw.listen('realtime:free', [table(source)]);
});

test('a slot that waits for an old transaction: joins are told the cause, and WAL is kept within realtime.max_slot_lag', async (t) => {
  await freshWorker();
  const source = await withTable(t, 'id int primary key');
  const log = new Log();
  const old = await connect(t);
  await old.query('begin');
  await old.query(`insert into ${source.quoted} values (1)`);
  const raw = await RawClient.open(t);
  const ref = raw.push('realtime:waits', 'phx_join', { config: { postgres_changes: [table(source)] } }, { ref: 'w1', join_ref: 'w1' });
  const restartLsn = () => one("select (select restart_lsn from pg_replication_slots where slot_name = 'realtime')");
  const begun = await waitFor(restartLsn, 'the slot to be in creation');
  await withSetting(t, 'realtime.max_slot_lag', '16MB');
  await writeWal();
  assert.match(await log.hint('creation of replication slot "realtime" waits for older transactions'), /pg_stat_activity/);
  await waitFor(async () => one(`select coalesce((select restart_lsn > $1::pg_lsn + 16 * 1024 * 1024 from pg_replication_slots
    where slot_name = 'realtime'), false)`, [begun]), 'the WAL to be let go');
  const reply = await raw.reply(ref);
  assert.equal(reply.payload.status, 'error');
  assert.match(reply.payload.response.reason, /creation of .*replication slot.* waits for older transactions to end/);
  await old.query('rollback');
  await raw.listen('realtime:now', [table(source)]);
  await sql(`insert into ${source.quoted} values (2)`);
  assert.equal((await raw.change()).payload.data.record.id, 2);
  assert.equal(log.count('waits for older transactions'), 1);
});

// Stops the walsender, so that nothing is read while WAL is written.
async function stall(t) {
  const pid = await waitForWalsender();
  signal(pid, 'STOP');
  cleanup(t, async () => {
    if ((await rows('select 1 from pg_stat_activity where pid = $1', [pid])).length > 0) signal(pid, 'CONT');
  });
  return pid;
}

for (const [name, limit, write] of [
  ['max_slot_age', '1s', async () => {}],
  ['max_slot_lag', '16MB', writeWal],
]) {
  test(`a stalled stream starts over at realtime.${name}, and clients are told`, async (t) => {
    const source = await withTable(t, 'id int primary key');
    const raw = await listen(t, source, `realtime:${name}`);
    const log = new Log();
    const pid = await stall(t);
    await withSetting(t, `realtime.${name}`, limit);
    await sql(`insert into ${source.quoted} values (1)`);
    await write();
    await log.line('starts over with a new replication slot');
    assert.equal(log.count(`a new replication slot: the change stream ${name === 'max_slot_age' ? 'made no progress' : 'fell behind'}`), 1);
    signal(pid, 'CONT');
    assert.match((await missed(raw)).payload.message, new RegExp(`^Changes may have been missed: .*realtime\\.${name}$`));
    const next = await waitFor(async () => (await slot())?.active_pid, 'the next stream');
    assert.notEqual(next, pid);
    await sql(`insert into ${source.quoted} values (2)`);
    assert.equal((await raw.change()).payload.data.record.id, 2);
    assert.equal(raw.closed, null, 'the socket stayed open');
  });
}

test('an idle stream and an open transaction are no stall', async (t) => {
  const source = await withTable(t, 'id int primary key');
  const raw = await listen(t, source, 'realtime:idle');
  const log = new Log();
  await withSetting(t, 'realtime.max_slot_age', '1s');
  const writer = await connect(t);
  await writer.query('begin');
  await writer.query(`insert into ${source.quoted} values (1)`);
  // WAL that concerns nobody moves the confirmed position as well.
  const at = await one('select pg_current_wal_insert_lsn()');
  await sql("select pg_logical_emit_message(true, 'x', 'x')");
  await waitFor(async () => (await rows(
    "select 1 from pg_replication_slots where slot_name = 'realtime' and confirmed_flush_lsn > $1", [at])).length > 0,
  'the idle slot to move on');
  const pid = await walsender();
  const until = "select now() > '%'::timestamptz + interval '3 s'".replace('%', await one('select now()::text'));
  await waitFor(() => one(until), 'three limits to pass');
  assert.equal(log.count('starts over'), 0);
  assert.equal(await walsender(), pid);
  await writer.query('commit');
  await raw.change();
});

test('a slot in the making goes with its name', async (t) => {
  const source = await withTable(t, 'id int primary key');
  await freshWorker();
  const worker = await waitForWorker();
  const old = await connect(t);
  await old.query('begin');
  await old.query(`insert into ${source.quoted} values (1)`);
  const raw = await RawClient.open(t);
  const ref = raw.push('realtime:making', 'phx_join', { config: { postgres_changes: [table(source)] } }, { ref: 'm1', join_ref: 'm1' });
  await waitFor(slot, 'the slot to be in the making');
  // It is ready, and the settings are new, before the worker hears of either.
  signal(worker, 'STOP');
  cleanup(t, () => signal(worker, 'CONT'));
  await old.query('rollback');
  await waitFor(() => one("select confirmed_flush_lsn from pg_replication_slots where slot_name = 'realtime'"), 'the slot to be made');
  await withSetting(t, 'realtime.slot_name', 'renamed');
  signal(worker, 'CONT');
  assert.equal((await raw.reply(ref)).payload.status, 'ok');
  await raw.event('system');
  await noSlot();
  assert.equal(await one('select slot_name from pg_replication_slots'), 'renamed');
});

// Like a subscription: of this database, and with our plugin.
function recvlogical(...args) {
  const common = ['-h', process.env.PGHOST, '-p', process.env.PGPORT, '-U', process.env.PGUSER, '-d', process.env.PGDATABASE, '--slot=realtime'];
  return spawn('pg_recvlogical', [...common, ...args], { stdio: 'ignore' });
}

const ended = (child) => new Promise((resolve) => child.once('exit', resolve));

// As another process than the worker sees them.
async function foreignSlot(t) {
  // Where the test came to its end it is the worker's own by now, and stays.
  cleanup(t, () => sql("select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = 'realtime' and not active"));
  await ended(recvlogical('--plugin=pgoutput', '--create-slot'));
  const child = recvlogical('--start', '-f', '/dev/null', '-o', 'proto_version=1', '-o', 'publication_names=supabase_realtime');
  cleanup(t, async () => {
    if (child.exitCode !== null) return;
    child.kill('SIGKILL');
    await waitFor(async () => !(await slot())?.active, 'the slot to be released');
  });
  await waitFor(async () => (await slot())?.active, 'the slot to be in use');
  return async () => {
    child.kill('SIGINT');
    await ended(child);
    await waitFor(async () => (await slot())?.active !== true, 'the slot to be released');
  };
}

async function refused(raw, source, topic) {
  const reply = await raw.join(topic, { bindings: [table(source)] });
  assert.equal(reply.payload.status, 'error');
  return reply.payload.response.reason;
}

test('a slot like ours that another application uses stays its own', async (t) => {
  await freshWorker();
  const source = await withTable(t, 'id int primary key');
  const stop = await foreignSlot(t);
  const raw = await RawClient.open(t);
  await refused(raw, source, 'realtime:used');
  await stop();
  assert.match(await refused(raw, source, 'realtime:unused'), /belongs to something else/);
  assert.ok(await slot(), 'it is still there');
  await sql("select pg_drop_replication_slot('realtime')");
  await raw.listen('realtime:own', [table(source)]);
});
