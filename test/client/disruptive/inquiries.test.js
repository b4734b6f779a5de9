'use strict';
// The views when it is hard to answer: a hundred thousand rows, hundreds of readers at once, readers who leave before the answer,
// a worker that is busy or ends.
const test = require('node:test');
const assert = require('node:assert/strict');
const { Client } = require('pg');
const { Cluster } = require('../lib/cluster');
const { cleanup } = require('../lib/cleanup');
const { makeToken } = require('../lib/token');
const { waitFor } = require('../lib/wait');

const kMost = 100000;
const kWarning = `only the first ${kMost} rows are shown`;

async function connect(t, cluster) {
  const client = new Client({ host: cluster.env.PGHOST, port: Number(cluster.env.PGPORT), user: cluster.env.PGUSER, database: 'postgres' });
  client.on('error', () => {});
  await client.connect();
  cleanup(t, () => client.end().catch(() => {}));
  return client;
}

const startLarge = (t) => Cluster.start(t, `realtime.max_channels_per_client = 100000
  realtime.max_joins_per_second = 0
  max_connections = 250`);

// One reading; a reading that is too late for a busy machine is tried again. The worker's answer is bounded, its haste is not.
async function count(cluster, view) {
  let answer;
  await waitFor(async () => {
    const notices = [];
    const rows = await cluster.sql(`select count(*)::int n from realtime.${view}`, { notices }).catch((error) => {
      assert.match(error.message, /did not answer within 2 seconds/);
      return null;
    });
    answer = rows && { rows: rows[0].n, warnings: notices.map((notice) => notice.message) };
    return answer;
  }, `an answer of ${view}`, 60000);
  return answer;
}

// Joins topics by the thousand, without waiting for each answer.
async function joinMany(client, prefix, number) {
  const before = client.frames.length;
  for (let i = 0; i < number; i += 1) {
    client.push(`realtime:${prefix}${i}`, 'phx_join', { config: {} }, { ref: String(i + 1), join_ref: String(i + 1) });
    if (i % 1000 === 999) await waitFor(() => client.frames.length - before > i - 3000 || client.closed, 'the answers', 60000);
  }
  await waitFor(() => client.frames.length - before >= number || client.closed, 'all answers', 60000);
  assert.equal(client.closed, null);
  assert.equal(client.frames.slice(before).filter((frame) => frame.payload.status !== 'ok').length, 0);
}

test('stat_channels: 100,000 rows without a warning, with more a warning, and clients are answered meanwhile', async (t) => {
  const cluster = await startLarge(t);
  await cluster.serving();
  const [first, second, other] = await Promise.all([1, 2, 3].map(() => cluster.client(t)));
  await joinMany(first, 'a', kMost / 2);
  await joinMany(second, 'b', kMost / 2);
  assert.deepEqual(await count(cluster, 'stat_channels'), { rows: kMost, warnings: [] });
  await joinMany(second, 'more', 1);
  const reading = count(cluster, 'stat_channels');
  for (let i = 0; i < 20; i += 1) assert.equal((await other.heartbeat()).payload.status, 'ok');
  assert.deepEqual(await reading, { rows: kMost, warnings: [kWarning] });
  assert.equal((await count(cluster, 'stat_connections')).rows, 3);
});

test('stat_subscriptions: a channel whose bindings fit in part only is not cut in silence', async (t) => {
  const cluster = await startLarge(t);
  await cluster.serving();
  await cluster.sql("create table items (id int primary key); grant select on items to anon; select realtime.publish('items')");
  const kBindings = 999;
  // One connection keeps 8 MB of joins, which is thirteen such channels.
  const clients = [];
  while (clients.length < 11) clients.push(await cluster.client(t));
  const join = (i) => clients[Math.floor(i / 10)].join(`realtime:${i}`, { bindings: Array.from({ length: kBindings },
    (_, k) => ({ event: 'INSERT', schema: 'public', table: 'items', filter: `id=eq.${i * kBindings + k}` })) });
  const fitting = Math.floor(kMost / kBindings);
  for (let i = 0; i < fitting; i += 1) assert.equal((await join(i)).payload.status, 'ok');
  const subscribed = (n) => waitFor(async () => (await cluster.sql('select subscriptions::int n from realtime.stat_worker'))[0].n === n,
    `${n} subscriptions`, 60000);
  await subscribed(fitting);
  assert.deepEqual(await count(cluster, 'stat_subscriptions'), { rows: fitting * kBindings, warnings: [] });
  await join(fitting);
  await subscribed(fitting + 1);
  assert.deepEqual(await count(cluster, 'stat_subscriptions'), { rows: kMost, warnings: [kWarning] });
});

test('200 sessions ask at once: each gets its own answer', async (t) => {
  const cluster = await startLarge(t);
  await cluster.serving();
  const client = await cluster.client(t);
  for (let i = 0; i < 10; i += 1) await client.join(`realtime:room ${i}`);
  const readers = [];
  while (readers.length < 200) readers.push(await connect(t, cluster));
  const questions = [['select count(*)::int n from realtime.stat_channels', 10], ['select count(*)::int n from realtime.stat_connections', 1],
    ['select count(*)::int n from realtime.stat_subscriptions', 0], ['select realtime.disconnect(-1)::int n', 0]];
  const answers = await Promise.all(readers.map(async (reader, i) => {
    const [text, expected] = questions[i % questions.length];
    const answer = await reader.query(text).catch((error) => error);
    return answer instanceof Error ? answer.message : answer.rows[0].n === expected;
  }));
  const late = answers.filter((answer) => answer === 'the realtime worker did not answer within 2 seconds');
  assert.deepEqual(answers.filter((answer) => answer !== true && !late.includes(answer)), []);
  assert.ok(late.length < readers.length / 2, `${late.length} of them had no answer in time`);
  assert.equal(await waitingForNobody(cluster), 10);
});

// The next question is answered: nothing of the former ones is in its way. Returns the number of channels.
async function waitingForNobody(cluster) {
  const { rows, warnings } = await count(cluster, 'stat_channels');
  assert.deepEqual(warnings, []);
  return rows;
}

// A policy keeps the worker's database thread busy: questions wait at the desk.
async function busyWorker(t) {
  const cluster = await startLarge(t);
  await cluster.serving();
  await cluster.set('realtime.policy_timeout', "'20s'");
  await cluster.sql(`create table slow (id int primary key); alter table slow enable row level security;
    grant select on slow to anon, authenticated; select realtime.publish('slow');
    create policy "slow" on slow for select using (id > 1 or pg_sleep(8) is not null)`);
  const client = await cluster.client(t);
  const token = makeToken({ sub: '00000000-0000-4000-8000-000000000001' }, { secret: cluster.env.JWT_SECRET });
  await client.listen('realtime:slow', [{ event: '*', schema: 'public', table: 'slow' }], { token });
  return { cluster, client };
}
const isAsking = (cluster, pid) => waitFor(async () => (await cluster.sql(
  `select from pg_stat_activity where pid = ${pid} and state = 'active' and wait_event_type = 'Extension'`)).length === 1, `${pid} to wait`);

test('readers who are cancelled, ended, or out of patience while the worker is busy leave nothing behind', async (t) => {
  const { cluster, client } = await busyWorker(t);
  const readers = await Promise.all([1, 2, 3, 4].map(() => connect(t, cluster)));
  const pids = await Promise.all(readers.map(async (reader) => (await reader.query('select pg_backend_pid() pid')).rows[0].pid));
  await cluster.sql('insert into slow values (1)');
  await waitFor(async () => (await cluster.sql("select from realtime.stat_worker where lag_bytes > 0 or lag_seconds > 0")).length === 1, 'the worker to be busy');
  const asked = readers.map((reader) => reader.query('select * from realtime.stat_subscriptions').then(() => 'answered', (error) => error.message));
  await isAsking(cluster, pids[0]);
  await isAsking(cluster, pids[1]);
  await cluster.sql(`select pg_cancel_backend(${pids[0]}), pg_terminate_backend(${pids[1]})`);
  const [cancelled, ended, ...patient] = await Promise.all(asked);
  assert.match(cancelled, /canceling statement due to user request/);
  assert.match(ended, /terminating connection|Connection terminated/);
  assert.deepEqual(patient, Array(2).fill('the realtime worker did not answer within 2 seconds'));
  await client.next((frame) => frame.event === 'postgres_changes', 'the change', 30000);
  assert.equal((await readers[2].query('select count(*)::int n from realtime.stat_subscriptions')).rows[0].n, 1);
  assert.equal(await waitingForNobody(cluster), 1);
});

test('the worker ends while it is asked: the reader is told at once, and the next worker answers', async (t) => {
  const { cluster } = await busyWorker(t);
  const reader = await connect(t, cluster);
  const [{ pid }] = (await reader.query('select pg_backend_pid() pid')).rows;
  await cluster.sql('insert into slow values (1)');
  await waitFor(async () => (await cluster.sql("select from realtime.stat_worker where lag_bytes > 0 or lag_seconds > 0")).length === 1, 'the worker to be busy');
  const asked = reader.query('select * from realtime.stat_channels').then(() => 'answered', (error) => error.message);
  await isAsking(cluster, pid);
  await cluster.sql("select pg_terminate_backend(pid) from pg_stat_activity where backend_type = 'realtime worker'");
  assert.equal(await asked, 'the realtime worker does not run');
  await cluster.serving(60000);
  assert.equal(await waitingForNobody(cluster), 0);
});
