'use strict';
// GET /metrics: who may read it, and that every metric of the README's table is there and moves.
const test = require('node:test');
const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const env = require('../lib/env');
const { withTable, sql, rows } = require('../lib/sql');
const { makeClient, subscribe, table, newTopic } = require('../lib/clients');
const { enter } = require('../lib/room');
const { withSetting } = require('../lib/server');
const { userToken } = require('../lib/token');
const { waitFor } = require('../lib/wait');

const kToken = 'metrics-token-of-this-test';
const get = (token, options = {}) => fetch(`${env.url}/metrics`, { ...options, headers: token ? { authorization: `Bearer ${token}` } : {} });

async function withMetrics(t) {
  await withSetting(t, 'realtime.metrics_token', kToken);
  await waitFor(async () => (await get(kToken)).status === 200, 'the page');
}

function parse(text) {
  const metrics = {};
  for (const line of text.trim().split('\n')) {
    const sample = line.match(/^([a-z_][a-z0-9_]*) (\d+(?:\.\d+)?)$/);
    if (sample) metrics[sample[1]] = { ...metrics[sample[1]], value: Number(sample[2]) };
    else assert.match(line, /^# (HELP|TYPE) [a-z_][a-z0-9_]* .+$/);
    const type = line.match(/^# TYPE (\S+) (counter|gauge)$/);
    if (type) metrics[type[1]] = { ...metrics[type[1]], type: type[2] };
  }
  return metrics;
}
const read = async () => parse(await (await get(kToken)).text());

function documented() {
  const readme = fs.readFileSync(path.join(__dirname, '../../../README.md'), 'utf8');
  return [...readme.matchAll(/^\| `((?:realtime|phoenix)_[a-z0-9_]+)` \| (counter|gauge) \|/gm)].map(([, name, type]) => [name, type]);
}

test('without a token there is no such page', async () => {
  const answer = await get('anything');
  assert.equal(answer.status, 404);
  assert.equal(await answer.text(), '{"error":"Not Found"}');
});

test('with one: 401 without a token, 403 with another, and the page', async (t) => {
  await withMetrics(t);
  assert.equal((await get()).status, 401);
  for (const wrong of ['x', `${kToken}x`, kToken.slice(1), kToken.replace('m', 'n'), env.serviceKey]) {
    assert.equal((await get(wrong)).status, 403, wrong);
  }
  const page = await get(kToken);
  assert.match(page.headers.get('content-type'), /^text\/plain; version=0\.0\.4/);
  assert.equal(page.headers.get('cache-control'), 'no-store');
  const head = await get(kToken, { method: 'HEAD' });
  assert.deepEqual([head.status, await head.text()], [200, '']);
  assert.equal((await get(kToken, { method: 'POST' })).status, 404);
});

test('the token is shown to superusers only', async (t) => {
  await withMetrics(t);
  assert.deepEqual(await rows("select count(*)::int n from pg_settings where name = 'realtime.metrics_token'"), [{ n: 0 }]);
  assert.deepEqual(await rows("select current_setting('realtime.metrics_token') s"), [{ s: kToken }]);
});

test('the README names every metric, and each is there', async (t) => {
  await withMetrics(t);
  const metrics = await read();
  assert.deepEqual(Object.entries(metrics).map(([name, { type }]) => [name, type]).sort(), documented().sort());
  for (const [name, { value }] of Object.entries(metrics)) assert.ok(Number.isFinite(value), name);
});

test('what happens is counted', async (t) => {
  await withMetrics(t);
  const source = await withTable(t, 'id int primary key', { rls: ['for select using (id < 100)'] });
  const before = await read();
  const recording = await subscribe(await makeClient(t, { token: userToken('77777777-7777-4777-8777-777777777777') }), table(source));
  const topic = newTopic('counted');
  const first = await enter(await makeClient(t), topic, { presence: true });
  const second = await enter(await makeClient(t), topic);
  await first.channel.track({ n: 1 });
  await first.send('a', {});
  await second.broadcast('a');
  await sql(`insert into ${source.quoted} values (1), (2), (3)`);
  await recording.count(3);
  await fetch(`${env.url}/realtime/v1/websocket?vsn=2.0.0&apikey=wrong`, {
    headers: { connection: 'upgrade', upgrade: 'websocket' } }).catch(() => {});
  const grown = (now, name) => now[name].value - before[name].value;
  const expected = {
    realtime_connections_global_connected: 3, realtime_worker_connections_total: 3, realtime_channel_global_joins: 3,
    realtime_worker_channels: 3, realtime_channel_global_events: 1, realtime_worker_broadcast_deliveries_total: 1,
    realtime_channel_global_presence_events: 1, realtime_channel_global_db_events: 3,
    realtime_subscriptions_manager_subscribers: 1, realtime_worker_rows_total: 3, realtime_worker_policy_checks_total: 3,
    realtime_replication_poller_changes_dispatch: 3,
  };
  const sees = (now) => Object.fromEntries(Object.keys(expected).map((name) => [name, grown(now, name)]));
  let now;
  await waitFor(async () => JSON.stringify(sees(now = await read())) === JSON.stringify(expected),
    () => `the counts; are ${JSON.stringify(sees(now))}`);
  assert.ok(grown(now, 'realtime_channel_global_input_bytes') > 300);
  assert.ok(grown(now, 'realtime_channel_global_output_bytes') > 300);
  assert.ok(grown(now, 'realtime_worker_transactions_total') >= 1);
  assert.ok(now.phoenix_connections_active.value >= 3 && now.phoenix_connections_max.value >= 3);
  assert.ok(now.realtime_worker_received_lsn_bytes.value > 0);
});

test('healthcheck and ping need no token', async () => {
  assert.deepEqual([(await fetch(`${env.url}/healthcheck`)).status, await (await fetch(`${env.url}/healthcheck`)).text()], [200, 'ok']);
  for (const place of ['/realtime/v1/api/ping', '/api/ping']) {
    assert.deepEqual(await (await fetch(`${env.url}${place}`)).json(), { message: 'Success' });
  }
});
