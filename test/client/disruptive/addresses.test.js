'use strict';
// Where the worker listens, and for how many.
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const test = require('node:test');
const assert = require('node:assert/strict');
const { asPostgres } = require('../lib/env');
const { Cluster } = require('../lib/cluster');
const { handshake } = require('../lib/raw');
const { signal } = require('../lib/server');
const { waitFor } = require('../lib/wait');

const addresses = Object.values(os.networkInterfaces()).flat().map((each) => each.address);
const kNoIpv6 = addresses.includes('::1') ? false : 'this machine has no IPv6 address ::1';

async function statusAt(cluster, host) {
  try {
    const key = `apikey=${cluster.env.ANON_KEY}&vsn=2.0.0`;
    return (await handshake(`/realtime/v1/websocket?${key}`, { host, port: cluster.port })).status;
  } catch (error) {
    return error.code;
  }
}
const answers = (cluster, host, wanted) => waitFor(async () => (await statusAt(cluster, host)) === wanted, `${wanted} at ${host}`);

test('listen_addresses: "*" and "localhost" are both IPv4 and IPv6, a numeric address only itself', { skip: kNoIpv6 }, async (t) => {
  const cluster = await Cluster.start(t, "realtime.listen_addresses = '*'");
  await answers(cluster, '127.0.0.1', 101);
  await answers(cluster, '::1', 101);
  const other = addresses.find((address) => address !== '::1' && !address.startsWith('127.') && !address.startsWith('fe80'));
  if (other) await answers(cluster, other, 101);

  await cluster.set('realtime.listen_addresses', "'::1'");
  await answers(cluster, '127.0.0.1', 'ECONNREFUSED');
  await answers(cluster, '::1', 101);

  await cluster.set('realtime.listen_addresses', "'localhost'");
  await answers(cluster, '127.0.0.1', 101);
  await answers(cluster, '::1', 101);
  if (other) await answers(cluster, other, 'ECONNREFUSED');
  const listening = cluster.log.lines().filter((line) => line.includes('listening for Realtime clients on')).map((line) => line.split(' on ')[1]);
  for (const [name, times] of [['0.0.0.0', 1], ['[::]', 1], ['[::1]', 1], ['127.0.0.1', 1]]) {
    assert.equal(listening.filter((line) => line === `${name}:${cluster.port}`).length, times, `${name} in ${listening}`);
  }
});

let prlimit = true;
try {
  execFileSync('prlimit', ['--version']);
} catch {
  prlimit = false;
}

test('max_connections above the limit of open files is capped, and the log says so', { skip: prlimit ? false : 'there is no prlimit' }, async (t) => {
  const cluster = await Cluster.start(t);
  await cluster.serving();
  assert.equal(cluster.log.count('Realtime clients instead of'), 0);
  const [{ pid: worker }] = await cluster.sql("select pid from pg_stat_activity where backend_type = 'realtime worker'");
  const postmaster = fs.readFileSync(path.join(cluster.env.PGDATA, 'postmaster.pid'), 'utf8').split('\n')[0];
  // As the server's own user, who may lower its limits; inherited by the next worker.
  const [command, ...options] = [...asPostgres, 'prlimit', '--pid', postmaster, '--nofile=140:140'];
  execFileSync(command, options);
  signal(worker, 'TERM');
  const hint = await cluster.log.hint('serving at most 12 Realtime clients instead of 10000');
  assert.match(hint, /limit of open files is too low for "realtime\.max_connections"/);
  // Said once, however often the configuration is read.
  await cluster.set('realtime.idle_timeout', "'61s'");
  await cluster.set('realtime.listen_addresses', "'127.0.0.1, nowhere'");
  await cluster.log.line('cannot listen on "nowhere": not an address');
  await cluster.set('realtime.listen_addresses', "'127.0.0.1, nowhere, nothing'");
  await cluster.log.line('cannot listen on "nothing": not an address');
  assert.equal(cluster.log.count('cannot listen on "nowhere"'), 1);
  assert.equal(cluster.log.count('Realtime clients instead of'), 1);
  const client = await cluster.delivers(t);

  const others = [];
  for (let i = 1; i < 12; i += 1) others.push(await cluster.client(t));
  assert.equal(await cluster.status(), 429, 'one more');
  await cluster.sql('insert into proof default values');
  assert.equal((await client.change()).payload.data.record.id, 2, 'who is there is still served');
  others[0].socket.close();
  await cluster.serving();
});
