'use strict';
// What policies can make the worker hold, and wait for. Its memory is looked at, and the server's settings are changed.
const fs = require('node:fs');
const test = require('node:test');
const assert = require('node:assert/strict');
const { withTable, withSchema, alterPublication, sql, connect } = require('../lib/sql');
const { makeClient, subscribe, table } = require('../lib/clients');
const { RawClient } = require('../lib/raw');
const { Log } = require('../lib/log');
const { withSetting, restart, serving, workerPid } = require('../lib/server');
const { userToken } = require('../lib/token');
const { waitFor } = require('../lib/wait');

const kMib = 1024;
const user = (i) => `dddddddd-0000-4000-8000-${String(i).padStart(12, '0')}`;
const memory = (pid, what) => Number(new RegExp(`${what}:\\s*(\\d+)`).exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) / kMib;
const sanitized = process.env.CLUSTER_SERVER_ENV?.includes('ASAN_OPTIONS');
const listen = async (t, source) => subscribe(await makeClient(t, { token: userToken(user(1)) }), table(source));

// Every identity has its own result of the sub-query, of some ten megabytes.
test('results of sub-queries are not kept for all users at once', async (t) => {
  restart();
  await serving();
  const schema = await withSchema(t);
  await sql(`create table ${schema}.many as select generate_series(1, 100000) id; analyze ${schema}.many; grant select on ${schema}.many to authenticated`);
  const source = await withTable(t, 'id int primary key', { rls: [`for select to authenticated using (id in (select id from ${schema}.many))`] });
  const kUsers = 40;
  const clients = [];
  for (let i = 1; i <= kUsers; i += 1) {
    const client = await RawClient.open(t);
    await client.listen(`realtime:room${i}`, [table(source)], { token: userToken(user(i)) });
    clients.push(client);
  }
  const pid = await workerPid();
  const before = memory(pid, 'RssAnon');
  let most = 0;
  const watching = setInterval(() => { most = Math.max(most, memory(pid, 'RssAnon')); }, 10);
  t.after(() => clearInterval(watching));
  await sql(`insert into ${source.quoted} values (1), (100001), (2)`);
  for (const client of clients) {
    const ids = [(await client.next((frame) => frame.event === 'postgres_changes', 'the first row', 120000)).payload.data.record.id];
    ids.push((await client.change()).payload.data.record.id);
    assert.deepEqual(ids, [1, 2]);
  }
  clearInterval(watching);
  if (!sanitized) assert.ok(most - before < 128, `${most - before} MiB`);
});

test('a policy that takes more memory than it may is cancelled', async (t) => {
  await withSetting(t, 'realtime.policy_timeout', '60s');
  const schema = await withSchema(t);
  await sql(`create function ${schema}.grow() returns boolean language plpgsql as $$
    declare all_of_it text[];
    begin for i in 1..40 loop all_of_it := all_of_it || repeat('x', 20000000); end loop; return pg_sleep(600) is null; end $$`);
  const source = await withTable(t, 'id int primary key', { schema, rls: [`for select to authenticated using (${schema}.grow())`] });
  const other = await withTable(t, 'id int primary key');
  const grown = await listen(t, source);
  const witness = await listen(t, other);
  const pid = await workerPid();
  const log = new Log();
  await sql(`insert into ${source.quoted} values (1)`);
  await sql(`insert into ${other.quoted} values (1)`);
  await grown.count(1, 50000);
  await witness.count(1);
  assert.equal(grown.events[0].errors.length, 1);
  assert.match(await log.hint(`could not judge a change of table "${schema}.`), /take more than 512 MB of memory/);
  assert.equal(await workerPid(), pid);
});

// A number for the transaction, and a notice, which gives it one when it ends: with either its end would wait for standbys.
test('what policies do to their transaction makes nobody wait for a standby', async (t) => {
  const schema = await withSchema(t);
  await sql(`create table ${schema}.read (n int); grant select on ${schema}.read to authenticated;
    create function ${schema}.busy() returns boolean language plpgsql as $$
    begin perform lo_create(0), pg_notify('${schema}', 'x'), set_config('synchronous_commit', 'remote_apply', false); return true; end $$`);
  const source = await withTable(t, 'id int primary key', { schema, rls: [`for select to authenticated using (${schema}.busy())`] });
  const recording = await listen(t, source);
  const writer = await connect(t);
  await writer.query('set synchronous_commit = local');
  await withSetting(t, 'synchronous_standby_names', 'nobody');
  await waitFor(async () => (await writer.query('show synchronous_standby_names')).rows[0].synchronous_standby_names === 'nobody', 'the setting');
  for (let id = 1; id <= 20; id += 1) {
    await writer.query(`insert into ${source.quoted} values (${id})`);
    await recording.count(id);
  }
  assert.deepEqual(recording.values(), Array.from({ length: 20 }, (_, i) => i + 1));
});

test('policies of private channels that fail in many ways fill no log', async (t) => {
  const schema = await withSchema(t);
  await sql(`create function ${schema}.fails() returns boolean language plpgsql as $$
    begin raise exception 'failed' using errcode = 'A' || substr(upper(md5(random()::text)), 1, 4); end $$`);
  t.after(() => sql('drop policy if exists fails on realtime.messages'));
  await sql(`create policy fails on realtime.messages for select to authenticated using (${schema}.fails())`);
  const log = new Log();
  const client = await RawClient.open(t);
  for (let i = 1; i <= 30; i += 1) {
    const reply = await client.join(`realtime:private${i}`, { config: { private: true }, token: userToken(user(1)) });
    assert.equal(reply.payload.status, 'error');
  }
  await log.line('could not evaluate the policies for SELECT');
  assert.ok(log.count('could not evaluate the policies') <= 1, log.lines().join('\n'));
});

test('a change that cannot be decoded is tried three times, then clients are told and get what follows', async (t) => {
  const broken = await withTable(t, 'id int primary key', { publish: false });
  const other = await withTable(t, 'id int primary key');
  await alterPublication(`add table ${broken.quoted} where (1 / id > -1)`);
  const witness = await listen(t, other);
  const log = new Log();
  await sql(`insert into ${broken.quoted} values (0)`);
  await waitFor(() => witness.systems.length > 1, () => `to be told; saw ${JSON.stringify(witness.systems)}`, 30000);
  assert.equal(log.count('ERROR:  division by zero'), 3);
  await waitFor(async () => {
    await sql(`insert into ${other.quoted} select coalesce(max(id), 0) + 1 from ${other.quoted}`);
    return witness.events.length > 0;
  }, 'changes', 30000);
});
