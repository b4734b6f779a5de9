'use strict';
// The worker leaves in time whatever user code does, and takes nobody with it.
const test = require('node:test');
const assert = require('node:assert/strict');
const { withTable, connect, sql, rows, one, uniqueName } = require('../lib/sql');
const { cleanup } = require('../lib/cleanup');
const { makeClient, subscribe, table } = require('../lib/clients');
const { Cluster } = require('../lib/cluster');
const { RawClient } = require('../lib/raw');
const { serving, waitForWorker, withSetting } = require('../lib/server');
const { Log } = require('../lib/log');
const { userToken } = require('../lib/token');
const { waitFor } = require('../lib/wait');

const kLimit = 1000;

const gone = async (pid) => (await rows('select 1 from pg_stat_activity where pid = $1', [pid])).length === 0;
const sleeps = (pid) => waitFor(async () => (await rows(
  "select 1 from pg_stat_activity where pid = $1 and wait_event = 'PgSleep'", [pid])).length > 0, 'the policy to sleep');

// A function that catches every cancellation and goes on.
async function withStubbornFunction(t) {
  const name = `public.${uniqueName('f_')}`;
  cleanup(t, () => sql(`drop function if exists ${name}() cascade`));
  await sql(`create function ${name}() returns boolean language plpgsql as $$
    begin
      loop
        begin perform pg_sleep(60); exception when query_canceled then null; end;
      end loop;
    end $$`);
  return name;
}

async function endsInTime(t, policy) {
  await withSetting(t, 'realtime.policy_timeout', '60s');
  const source = await withTable(t, 'id int primary key', { rls: [`for select using (${policy})`] });
  const raw = await RawClient.open(t);
  await raw.listen('realtime:sleeping', [table(source)], { token: userToken('99999999-9999-4999-8999-999999999999') });
  const bystander = await RawClient.open(t);
  const witness = await connect(t);
  await sql(`insert into ${source.quoted} values (1)`);
  const pid = await waitForWorker();
  await sleeps(pid);
  const at = Date.now();
  await sql('select pg_terminate_backend($1)', [pid]);
  const closed = Promise.all([raw.close(), bystander.close()]).then((closes) => [closes, Date.now() - at]);
  await waitFor(() => gone(pid), 'the worker to end');
  const took = Date.now() - at;
  const [closes, closedAfter] = await closed;
  assert.deepEqual(closes.map((close) => close.code), [1012, 1012]);
  assert.ok(closedAfter < kLimit, `clients closed after ${closedAfter} ms`);
  assert.ok(took < kLimit, `ended after ${took} ms`);
  await serving();
  assert.equal((await rows("select 1 from pg_replication_slots where slot_name = 'realtime'")).length, 0);
  assert.equal((await witness.query('select 1 as alive')).rows[0].alive, 1, 'no other backend was ended');
}

test('SIGTERM while a policy sleeps: clients are closed with 1012 and the worker ends within a second', (t) => endsInTime(t, 'pg_sleep(60) is not null'));

test('SIGTERM while a policy catches every cancellation: the same', async (t) => endsInTime(t, `${await withStubbornFunction(t)}()`));

test('a policy that cannot be cancelled ends the worker with FATAL; all others live on and clients come back', async (t) => {
  await withSetting(t, 'realtime.policy_timeout', '100ms');
  const source = await withTable(t, 'id int primary key', { rls: [`for select using (${await withStubbornFunction(t)}())`] });
  const quiet = await withTable(t, 'id int primary key');
  const recording = await subscribe(await makeClient(t), table(quiet));
  const raw = await RawClient.open(t);
  await raw.listen('realtime:stubborn', [table(source)], { token: userToken('99999999-9999-4999-8999-999999999999') });
  const witness = await connect(t);
  const log = new Log();
  const before = await waitForWorker();
  const started = await one('select pg_postmaster_start_time()::text');
  await sql(`insert into ${source.quoted} values (1)`);
  await waitFor(() => gone(before), 'the worker to give up', 30000);
  assert.equal((await raw.close()).code, 1012);
  await log.line('FATAL:  terminating background worker "realtime worker"');
  await serving();
  assert.equal(log.count('terminated by signal'), 0, 'no crash');
  assert.equal((await witness.query('select 1 as alive')).rows[0].alive, 1);
  assert.equal(await one('select pg_postmaster_start_time()::text'), started);
  const subscribed = () => recording.systems.filter((system) => system.message === 'Subscribed to PostgreSQL').length;
  await waitFor(() => subscribed() >= 2, () => `the client to come back; saw ${recording.describe()}`, 60000);
  await sql(`insert into ${quiet.quoted} values (1)`);
  await recording.event((event) => event.new.id === 1);
  const slots = await rows("select active from pg_replication_slots where slot_name like 'realtime%'");
  assert.deepEqual(slots, [{ active: true }], 'one slot, the new one');
});

test('an event trigger that catches every cancellation while partitions are made: the worker gives up, and can be ended', async (t) => {
  const cluster = await Cluster.start(t);
  await cluster.serving();
  const pidOf = async () => (await cluster.sql('select pid from realtime.stat_worker'))[0]?.pid;
  const first = await pidOf();
  await cluster.sql(`create function stubborn() returns event_trigger language plpgsql as $$
      begin
        while current_setting('application_name') = 'realtime' loop
          begin perform pg_sleep(60); exception when query_canceled then null; end;
        end loop;
      end $$;
    create event trigger stubborn on ddl_command_end execute function stubborn();
    alter extension realtime drop table realtime.messages_${new Date().toISOString().slice(0, 10).replaceAll('-', '_')};
    drop table realtime.messages_${new Date().toISOString().slice(0, 10).replaceAll('-', '_')}`);
  const makes = (pid) => waitFor(async () => (await cluster.sql(
    `select from pg_stat_activity where pid = ${pid} and query ~ 'make_message_partitions' and wait_event = 'PgSleep'`)).length > 0, 'the trigger');
  const ended = (pid, limit) => waitFor(async () => (await cluster.sql(`select from pg_stat_activity where pid = ${pid}`)).length === 0,
    `worker ${pid} to end`, limit);
  await cluster.sql(`select pg_terminate_backend(${first})`);
  await ended(first, kLimit);
  const second = await waitFor(async () => [await pidOf()].find((pid) => pid && pid !== first), 'the next worker');
  await makes(second);
  await ended(second, 15000);
  const third = await waitFor(async () => [await pidOf()].find((pid) => pid && pid !== second), 'the worker after it');
  await makes(third);
  await cluster.sql(`select pg_terminate_backend(${third})`);
  await ended(third, kLimit);
  await cluster.sql('drop event trigger stubborn');
  await cluster.serving();
});
