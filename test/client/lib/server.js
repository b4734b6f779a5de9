'use strict';
// The server as a whole: settings, the worker's process, restart. Only for files in disruptive/.
const { execFileSync } = require('node:child_process');
const env = require('./env');
const { cleanup } = require('./cleanup');
const { sql, rows, connect } = require('./sql');
const { waitFor } = require('./wait');
const { handshake, kPath } = require('./raw');

async function answers() {
  try {
    return (await handshake(`${kPath}?apikey=${env.anonKey}&vsn=2.0.0`)).status === 101;
  } catch {
    return false;
  }
}

async function acceptsSql() {
  try {
    const client = await connect();
    await client.end();
    return true;
  } catch {
    return false;
  }
}

const serving = () => waitFor(async () => (await acceptsSql()) && answers(), 'the server to accept SQL and clients', 60000);

// The background worker, by the type that the extension gives it.
async function workerPid() {
  return (await rows("select pid from pg_stat_activity where backend_type ilike '%realtime%'"))[0]?.pid;
}

const waitForWorker = () => waitFor(workerPid, 'the worker in pg_stat_activity');

function pgCtl(...args) {
  const [command, ...prefix] = [...env.asPostgres, `${env.required('PG_BIN')}/pg_ctl`];
  execFileSync(command, [...prefix, '-D', env.required('PGDATA'), '-w', '-t', '60', ...args], { stdio: 'ignore' });
}

// Restart keeps the options the server was started with; its log goes beside the data from then on.
const restart = (mode = 'fast') => pgCtl('-m', mode, '-l', `${env.required('PGDATA')}/client-tests.log`, 'restart');

// By the shell's own kill: the program of that name is no part of a minimal system.
function signal(pid, name) {
  const [command, ...rest] = [...env.asPostgres, 'sh', '-c', 'kill -s "$0" "$1"', name, String(pid)];
  execFileSync(command, rest);
}

// Changes a setting of the server for the rest of the test. The worker notices at its own pace: wait for the effect.
async function withSetting(t, name, value) {
  cleanup(t, async () => {
    await sql(`alter system reset ${name}`);
    await sql('select pg_reload_conf()');
  });
  await sql(`alter system set ${name} = '${value}'`);
  await sql('select pg_reload_conf()');
}

module.exports = { answers, serving, workerPid, waitForWorker, restart, signal, withSetting };
