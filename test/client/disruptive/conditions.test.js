'use strict';
// What may be wrong with the server or its settings: the log says it once, with what to do, and once it is mended the worker
// goes on by itself. Each test has a server of its own.
const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const test = require('node:test');
const assert = require('node:assert/strict');
const { cleanup } = require('../lib/cleanup');
const { Cluster } = require('../lib/cluster');
const { signal } = require('../lib/server');
const { waitFor } = require('../lib/wait');

const kTable = 'create table waiting (id int); grant select on waiting to anon; create publication supabase_realtime for all tables';
const kBinding = { event: '*', schema: 'public', table: 'waiting' };

for (const [setting, wrong, right, reason] of [
  ['wal_level', 'replica', 'logical', 'wal_level is not logical'],
  ['max_wal_senders', '0', '5', 'max_wal_senders is 0'],
  ['max_replication_slots', '0', '5', 'max_replication_slots is 0'],
]) {
  test(`${setting} = ${wrong}: joins are refused with the reason, and work after a restart with ${right}`, async (t) => {
    const cluster = await Cluster.start(t, `${setting} = ${wrong}`);
    await cluster.sql(kTable);
    await cluster.serving();
    const client = await cluster.client(t);
    const reply = await client.join('realtime:refused', { bindings: [kBinding] });
    assert.equal(reply.payload.status, 'error');
    assert.match(reply.payload.response.reason, new RegExp(`the change stream is not available: ${reason}`));
    assert.match(await cluster.log.hint(`WARNING:  StartReplicationFailed: ${reason}`), /restart the server/);
    assert.equal(cluster.log.count(`WARNING:  StartReplicationFailed: ${reason}`), 1);
    await cluster.sql(`alter system set ${setting} = ${right}`);
    cluster.restart();
    await cluster.delivers(t);
  });
}

test('a database that does not exist, then one without the extension', async (t) => {
  const cluster = await Cluster.start(t, "realtime.database = 'later'", { extension: false });
  assert.match(await cluster.log.hint('database "later" does not exist, so the realtime worker serves nothing'), /Create it, or set realtime\.database/);
  assert.equal(await cluster.status(), 0, 'nobody listens');
  await cluster.sql('create database later');
  assert.match(await cluster.log.hint('extension realtime does not exist in database "later"'), /CREATE EXTENSION/);
  await cluster.sql('create extension realtime', { database: 'later' });
  await cluster.serving();
  assert.equal(cluster.log.count('database "later" does not exist, so'), 1);
  assert.equal(cluster.log.count('extension realtime does not exist'), 1);
  await cluster.set('realtime.database', "'postgres'");
  await cluster.log.line('extension realtime does not exist in database "postgres"');
  await cluster.sql('create extension realtime; select realtime.install_supabase_roles()');
  await cluster.delivers(t);
});

test('no key for tokens', async (t) => {
  const cluster = await Cluster.start(t, "realtime.jwt_secret = ''");
  assert.match(await cluster.log.hint('no key for clients\' tokens is set'), /ALTER SYSTEM SET realtime\.jwt_secret/);
  await waitFor(async () => (await cluster.status()) === 401, 'a refusal');
  await cluster.set('realtime.jwt_secret', `'${cluster.env.JWT_SECRET}'`);
  await cluster.delivers(t);
  assert.equal(cluster.log.count('no key for clients\' tokens'), 1);
  assert.equal(cluster.log.count('clients\' tokens can be checked'), 1);
});

test('a port that is taken, then free', async (t) => {
  const cluster = await Cluster.start(t);
  await cluster.serving();
  const other = net.createServer((socket) => socket.destroy());
  await new Promise((resolve) => { other.listen(0, '127.0.0.1', resolve); });
  cleanup(t, () => other.close());
  const taken = other.address().port;
  await cluster.set('realtime.port', taken);
  await cluster.log.line(`:${taken}`);
  assert.equal(cluster.log.count('already in use'), 1, cluster.log.lines().slice(-5).join('\n'));
  const state = async () => (await cluster.sql('select state from realtime.stat_worker'))[0].state;
  await waitFor(async () => (await state()) === 'waiting for an address to listen on', 'the state to say so');
  await new Promise((resolve) => { other.close(resolve); });
  cluster.moveTo(taken);
  await cluster.delivers(t);
  assert.equal(cluster.log.count('already in use'), 1);
});

const address = async (cluster) => (await cluster.sql(
  "select client_addr::text as address from pg_stat_replication where application_name = 'realtime'"))[0]?.address;

test('a server without Unix socket', async (t) => {
  const cluster = await Cluster.start(t, "unix_socket_directories = ''");
  await cluster.delivers(t);
  assert.equal(await address(cluster), '127.0.0.1/32');
});

test('realtime.conninfo over TCP; changed while clients listen, nothing is missed', async (t) => {
  const cluster = await Cluster.start(t);
  const client = await cluster.delivers(t);
  assert.equal(await address(cluster), null, 'a Unix socket');
  await cluster.set('realtime.conninfo', `'host=127.0.0.1 port=${cluster.env.PGPORT} user=postgres'`);
  await waitFor(async () => (await address(cluster)) === '127.0.0.1/32', 'the connection over TCP');
  await cluster.sql('insert into proof default values');
  await client.change();

  await cluster.set('realtime.conninfo', "'host=127.0.0.1 port=1 user=postgres'");
  assert.match(await cluster.log.hint('the change stream is not available'), /Check realtime\.conninfo/);
  await cluster.sql('insert into proof default values');
  await cluster.set('realtime.conninfo', "''");
  const last = await client.change();
  assert.equal(last.payload.data.record.id, 3, 'what was written meanwhile');
  assert.equal(cluster.log.count('the change stream is not available'), 1);
  assert.deepEqual(client.frames.filter((frame) => frame.payload?.status === 'error'), []);
});

test('pg_hba.conf refuses: the log has the line that lets the worker in', async (t) => {
  const cluster = await Cluster.start(t);
  const prepend = async (name, line) => {
    const file = path.join(cluster.env.PGDATA, name);
    fs.writeFileSync(file, `${line}\n${fs.readFileSync(file)}`);
    await cluster.sql('select pg_reload_conf()');
  };
  await prepend('pg_hba.conf', 'local all all reject');
  await cluster.sql(kTable);
  await cluster.serving();
  const client = await cluster.client(t);
  assert.equal((await client.join('realtime:refused', { bindings: [kBinding] })).payload.status, 'error');
  const hint = await cluster.log.hint('WARNING:  StartReplicationFailed: the change stream is not available');
  const [, hba, , ident] = /reload: (local .*?)( - and this one to pg_ident.conf: (.*))?\. Or set realtime\.conninfo/.exec(hint);
  if (ident) await prepend('pg_ident.conf', ident);
  await prepend('pg_hba.conf', hba);
  await cluster.delivers(t);
  assert.equal(cluster.log.count('WARNING:  StartReplicationFailed: the change stream is not available'), 1);
});

test('the extension has another version than the library: one line, and it serves', async (t) => {
  const cluster = await Cluster.start(t);
  await cluster.serving();
  const [{ extversion: version }] = await cluster.sql("select extversion from pg_extension where extname = 'realtime'");
  await cluster.sql("update pg_extension set extversion = '0.0.1' where extname = 'realtime'");
  assert.match(await cluster.log.hint('extension realtime has version 0.0.1'), /ALTER EXTENSION realtime UPDATE/);
  await cluster.delivers(t);
  assert.equal(cluster.log.count('extension realtime has version 0.0.1'), 1);
  await cluster.sql(`update pg_extension set extversion = '${version}' where extname = 'realtime'`);
  await cluster.log.line("extension realtime has the library's version");
});

test('not preloaded: whoever uses it is told, and nothing breaks', async (t) => {
  const cluster = await Cluster.start(t, "shared_preload_libraries = ''", { extension: false });
  const notices = [];
  await cluster.sql('create extension realtime; select realtime.version()', { notices });
  const [warning] = notices.filter((notice) => notice.severity === 'WARNING');
  assert.match(warning.message, /realtime is not in shared_preload_libraries/);
  assert.match(warning.hint, /restart the server/);
  await cluster.sql('drop extension realtime');
});

test('the death of the postmaster ends the worker', async (t) => {
  const cluster = await Cluster.start(t);
  const client = await cluster.delivers(t);
  const [{ pid }] = await cluster.sql("select pid from pg_stat_activity where backend_type = 'realtime worker'");
  const pidFile = path.join(cluster.env.PGDATA, 'postmaster.pid');
  const postmaster = Number(fs.readFileSync(pidFile, 'utf8').split('\n')[0]);
  cleanup(t, () => fs.rmSync(pidFile));  // or the cluster would be taken for running
  // Gone even where nobody collects orphans, as in a container.
  const running = () => fs.existsSync(`/proc/${pid}/exe`);
  assert.ok(running());
  signal(postmaster, 'KILL');
  await waitFor(() => !running(), 'the worker to end');
  await client.close();
  assert.equal(await cluster.status(), 0, 'nobody listens');
});
