'use strict';
// realtime.stat_worker: every figure moves when what it counts happens. Nothing else may use the server meanwhile.
const test = require('node:test');
const assert = require('node:assert/strict');
const { withTable, withRole, sql, rows, connect, uniqueName } = require('../lib/sql');
const { makeClient, subscribe, table } = require('../lib/clients');
const { waitForWorker, serving, withSetting } = require('../lib/server');
const { userToken } = require('../lib/token');
const { waitFor } = require('../lib/wait');

const kAnn = '88888888-8888-4888-8888-888888888888';
const kCounters = ['transactions', 'rows', 'deliveries', 'policy_checks', 'slow_policy_checks', 'policy_failures', 'filter_failures'];

async function stat() {
  const [row] = await rows('select * from realtime.stat_worker');
  const words = new Set(['state', 'slot_name', 'confirmed_lsn', 'received_lsn', 'last_error', 'started_at', 'last_error_at']);
  for (const key of Object.keys(row)) if (row[key] !== null && !words.has(key)) row[key] = Number(row[key]);
  return row;
}

// Waits until `condition` holds of it.
const statWhere = (condition, what) => {
  let last;
  return waitFor(async () => condition(last = await stat()) && last, () => `${what}; the last was ${JSON.stringify(last)}`);
};

// By how much the counters have grown since `before`, once `counter` has grown by `count`.
async function grown(before, counter, count) {
  const after = await statWhere((now) => now[counter] - before[counter] >= count, `${counter} + ${count}`);
  return Object.fromEntries(kCounters.map((key) => [key, after[key] - before[key]]));
}

const listenAs = async (t, source, extra) => subscribe(await makeClient(t, { token: userToken(kAnn) }), table(source, extra));

test('the worker, its slot and its clients', async (t) => {
  const before = await stat();
  assert.equal(before.pid, await waitForWorker());
  assert.ok(before.started_at instanceof Date);
  const source = await withTable(t, 'id int primary key');
  const recording = await listenAs(t, source);
  const during = await statWhere((now) => now.state === 'streaming' && now.connections === before.connections + 1, 'a client');
  assert.equal(during.slot_name, 'realtime');
  assert.equal(during.channels, before.channels + 1);
  assert.equal(during.subscriptions, before.subscriptions + 1);
  await sql(`insert into ${source.quoted} values (1)`);
  await recording.count(1);
  const [{ lsn }] = await rows('select pg_current_wal_lsn() lsn');
  const behind = async () => (await rows(`select confirmed_lsn < '${lsn}' behind, lag_bytes, lag_seconds from realtime.stat_worker`))[0];
  await waitFor(async () => !(await behind()).behind, 'everything up to the row to be confirmed');
  await statWhere((now) => now.lag_bytes === 0 && now.lag_seconds === 0, 'no lag');
  await recording.channel.unsubscribe();
  await statWhere((now) => now.subscriptions === before.subscriptions && now.channels === before.channels, 'nobody');
});

test('rows, transactions and deliveries; without policies there is nothing to check', async (t) => {
  const source = await withTable(t, 'id int primary key');
  const first = await listenAs(t, source);
  const second = await listenAs(t, source);
  await listenAs(t, source, { filter: 'id=gt.100' });
  const before = await stat();
  await sql(`insert into ${source.quoted} select generate_series(1, 10)`);
  await sql(`delete from ${source.quoted} where id = 1`);
  await first.count(11);
  await second.count(11);
  const { transactions, ...rest } = await grown(before, 'deliveries', 22);
  assert.ok(transactions >= 2);
  assert.deepEqual(rest, { rows: 11, deliveries: 22, policy_checks: 0, slow_policy_checks: 0, policy_failures: 0, filter_failures: 0 });
});

const kName = uniqueName('slow_');
for (const [what, policy, slow] of [
  ['built-in code', 'id > 0', 0],
  ['a sub-query', 'exists (select 1 from pg_class where oid = 1259 + 0 * id)', 0],
  ['a system column', `ctid is not null and ${kName}.id > 0`, 4],
  ['the whole row', `(to_jsonb(${kName}) ->> 'id')::int > 0`, 4],
  ['a function of the user', 'public.stat_worker_check(id)', 4],
  ['a volatile function', 'random() >= 0 * id', 4],
]) {
  test(`a policy of ${what}: ${slow ? 'checked slowly, counted, and right' : 'checked fast'}`, async (t) => {
    t.after(() => sql('drop function if exists public.stat_worker_check(int) cascade'));
    await sql('create or replace function public.stat_worker_check(n int) returns boolean language plpgsql as $$ begin return n > 0; end $$');
    const source = await withTable(t, 'id int primary key', { name: kName, rls: [`for select to authenticated using (${policy})`] });
    const recording = await listenAs(t, source);
    const before = await stat();
    await sql(`insert into ${source.quoted} values (1), (2), (3), (4)`);
    await recording.count(4);
    assert.deepEqual(recording.values(), [1, 2, 3, 4]);
    const counted = await grown(before, 'policy_checks', 4);
    assert.equal(counted.policy_checks, 4);
    assert.equal(counted.slow_policy_checks, slow);
    assert.equal(counted.policy_failures, 0);
  });
}

test('failures of policies and of filters, and the last error', async (t) => {
  const source = await withTable(t, 'id int primary key, note text', { rls: ['for select using (1 / (id - 1) >= -1)'] });
  const recording = await listenAs(t, source);
  const filtered = await listenAs(t, source, { filter: `note=like.%${'a'.repeat(900)}%` });
  const before = await stat();
  await sql(`insert into ${source.quoted} values (1, ''), (2, repeat('b', 400000))`);
  await recording.count(2);
  await filtered.count(2);
  const counted = await grown(before, 'filter_failures', 1);
  assert.deepEqual([counted.policy_failures, counted.filter_failures], [2, 1]);
  const after = await statWhere((now) => now.last_error?.includes(source.name), 'the error');
  assert.match(after.last_error, /^(RlsPolicyError|FilterError): realtime could not judge a change of table ".*" for role "authenticated" by /);
  assert.ok(after.last_error_at > before.started_at && after.last_error_at <= new Date(Date.now() + 1000));
});

test('a stream that is blocked: what it waits for, and that it lags', async (t) => {
  const source = await withTable(t, 'id int primary key', {
    rls: ["for select using (case when id = 1 then pg_sleep(60) is null else true end)"],
  });
  await withSetting(t, 'realtime.policy_timeout', '2s');
  const recording = await listenAs(t, source);
  await sql(`insert into ${source.quoted} values (1)`);
  const late = await statWhere((now) => now.lag_seconds > 0.5, 'lag');
  assert.ok(late.lag_bytes > 0);
  await recording.count(1);
  await statWhere((now) => now.lag_seconds === 0 && now.lag_bytes === 0, 'no lag any more');
});

test('no key: the state says what is waited for', async (t) => {
  const key = (await rows("select setting from pg_settings where name = 'realtime.jwt_secret'"))[0]?.setting
    || (await sql('show realtime.jwt_secret')).rows[0]['realtime.jwt_secret'];
  t.after(async () => {
    await sql('alter system reset realtime.jwt_secret');
    await sql('select pg_reload_conf()');
    await statWhere((now) => !now.state.startsWith('waiting'), 'the key to be back');
  });
  assert.ok(key);
  await sql("alter system set realtime.jwt_secret = ''");
  await sql('select pg_reload_conf()');
  await statWhere((now) => now.state.startsWith('waiting for realtime.jwt_secret'), 'the state');
  await statWhere((now) => now.last_error?.startsWith('JwtSignerError: no key'), 'the error');
});

test('another worker process: figures start over, and its start is counted', async (t) => {
  const source = await withTable(t, 'id int primary key');
  const recording = await listenAs(t, source);
  await sql(`insert into ${source.quoted} values (1)`);
  await recording.count(1);
  const before = await stat();
  assert.ok(before.rows > 0);
  await sql('select pg_terminate_backend($1)', [before.pid]);
  const after = await statWhere((now) => now.pid !== null && now.pid !== before.pid, 'the next worker');
  assert.equal(after.restarts, before.restarts + 1);
  assert.equal(after.rows, 0);
  assert.ok(after.started_at > before.started_at);
  await serving();
});

test('who may read it', async (t) => {
  const nobody = await withRole(t);
  const reader = await connect(t);
  await reader.query(`set role ${nobody}`);
  await assert.rejects(reader.query('select * from realtime.stat_worker'), /permission denied for view stat_worker/);
  await reader.query(`reset role; grant pg_monitor to ${nobody}; set role ${nobody}`);
  assert.equal((await reader.query('select * from realtime.stat_worker')).rows.length, 1);
});
