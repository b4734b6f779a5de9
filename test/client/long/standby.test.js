'use strict';
// A standby serves nobody; once it is promoted, it does by itself, and the clients of the old primary come to it.
const path = require('node:path');
const test = require('node:test');
const assert = require('node:assert/strict');
const { execFileSync } = require('node:child_process');
const env = require('../lib/env');
const { cleanup } = require('../lib/cleanup');
const { Cluster } = require('../lib/cluster');
const { Outage } = require('../lib/outage');
const { waitFor } = require('../lib/wait');

function run(program, ...args) {
  const [command, ...rest] = [...env.asPostgres, program, ...args];
  execFileSync(command, rest, { cwd: '/', stdio: ['ignore', 'ignore', 'inherit'] });
}

// A streaming standby of the cluster in its folder; same programs, same realtime.port, another port of its own.
function makeStandby(t, cluster) {
  const { PGHOST: host, PGPORT: port, PG_BIN: bin } = cluster.env;
  const data = path.join(cluster.directory, 'standby');
  const ownPort = String(Number(port) + 1);
  const tools = execFileSync('pg_config', ['--bindir']).toString().trim();
  const control = (...args) => run(`${bin}/pg_ctl`, '-D', data, '-s', '-w', '-t', '60', ...args);
  run(`${tools}/pg_basebackup`, '-h', host, '-p', port, '-U', 'postgres', '-D', data, '-R', '-X', 'stream', '-c', 'fast');
  control('-l', `${cluster.directory}/standby.log`, '-o', `-p ${ownPort}`, 'start');
  cleanup(t, () => control('-m', 'immediate', 'stop'));
  return Object.assign(Object.create(cluster), { env: { ...cluster.env, PGPORT: ownPort } });
}

const stopNow = ({ env: { PG_BIN: bin, PGDATA: data } }) => run(`${bin}/pg_ctl`, '-D', data, '-s', '-w', '-m', 'immediate', 'stop');

test('the worker does not run in recovery, and after a promotion the clients of the old primary are served', async (t) => {
  const cluster = await Cluster.start(t);
  const outage = await Outage.prepare(t, cluster);
  const recording = await outage.subscriber();
  await outage.delivers(recording);
  const standby = makeStandby(t, cluster);
  const worker = () => standby.sql("select pid from pg_stat_activity where backend_type = 'realtime worker'");
  assert.deepEqual(await standby.sql('select pg_is_in_recovery() as so'), [{ so: true }]);
  const id = await outage.write();
  await waitFor(async () => (await standby.sql('select max(id) as id from outage'))[0].id === id, 'the row on the standby');
  assert.deepEqual(await worker(), []);
  assert.deepEqual(await standby.sql('select slot_name from pg_replication_slots'), []);

  stopNow(cluster);
  assert.equal(await cluster.status(), 0, 'nobody listens: the standby does not either');
  await standby.sql('select pg_promote()');
  await waitFor(async () => (await worker()).length === 1, 'the worker to start');
  outage.cluster = standby;
  await outage.comesBack(recording);
});
