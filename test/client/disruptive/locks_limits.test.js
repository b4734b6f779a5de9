'use strict';
// Changes that wait for a lock, while limits are reached, the stream breaks, and the catalogs change.
const test = require('node:test');
const assert = require('node:assert/strict');
const { withTable, connect, sql, rows, one, waitForWalsender, walsender, publish } = require('../lib/sql');
const { makeClient, subscribe, table, newTopic } = require('../lib/clients');
const { RawClient } = require('../lib/raw');
const { Cluster } = require('../lib/cluster');
const { cleanup } = require('../lib/cleanup');
const { withSetting } = require('../lib/server');
const { Log } = require('../lib/log');
const { makeToken, userToken } = require('../lib/token');
const { waitFor } = require('../lib/wait');
const { kAnn, scene, lock, passes } = require('../lib/locks');

const kAnnToken = userToken(kAnn);
const upTo = (last) => Array.from({ length: last }, (_, i) => i + 1);
const stat = async (name) => Number(await one(`select ${name} from realtime.stat_worker`));
const slotLsn = () => one("select confirmed_flush_lsn from pg_replication_slots where slot_name = 'realtime'");
const writeWal = (megabytes) => sql(`select count(pg_logical_emit_message(false, 'x', repeat('x', 1000000)))
                                     from generate_series(1, ${megabytes})`);

// Ann, who waits at a guarded table, and a witness at a free one.
async function waitingScene(t, options) {
  const { members, guarded, free } = await scene(t, options);
  const waiting = await subscribe(await makeClient(t, { token: kAnnToken }), table(guarded), { topic: newTopic('waiting') });
  const witness = await subscribe(await makeClient(t), table(free), { topic: newTopic('witness') });
  return { members, guarded, free, waiting, witness };
}

async function parked(source, witness, free, id, value = 'x') {
  await sql(`insert into ${source.quoted} values (${id}, '${value}')`);
  await passes(free, witness, id);
}

async function breakStream() {
  const before = await waitForWalsender();
  await sql('select pg_terminate_backend($1)', [before]);
  await waitFor(async () => ![undefined, before].includes(await walsender()), 'the next stream');
}

test('what waits survives broken streams, once and in order', async (t) => {
  const { members, guarded, free, waiting, witness } = await waitingScene(t);
  const holder = await lock(t, members);
  for (let id = 1; id <= 5; id += 1) {
    await parked(guarded, witness, free, id);
    await breakStream();
  }
  await passes(free, witness, 6);
  await holder.query('commit');
  await sql(`insert into ${guarded.quoted} values (6, 'last')`);
  await waiting.count(6);
  assert.deepEqual(waiting.values(), upTo(6));
  assert.deepEqual(witness.values(), upTo(6));
});

// Older commits come again before the one that was cut off.
test('a stream that breaks in the midst of a commit while older ones are not confirmed brings everything once and in order', async (t) => {
  const { members, guarded, free, waiting, witness } = await waitingScene(t);
  const holder = await lock(t, members);
  await parked(guarded, witness, free, 1);
  for (let id = 2; id <= 5; id += 1) await passes(free, witness, id);
  await sql(`insert into ${free.quoted} select generate_series(6, 100000)`);
  await witness.count(100);
  await breakStream();
  assert.ok(witness.events.length < 100000, 'the stream broke too late');
  await witness.count(100000, 60000);
  await passes(free, witness, 100001);
  assert.deepEqual(witness.values(), upTo(100001));
  await holder.query('commit');
  await waiting.count(1);
});

test('with realtime.max_parked_size reached the stream stops, says which table it is, and then everything arrives', async (t) => {
  await withSetting(t, 'realtime.max_parked_size', '64kB');
  const { members, guarded, free, waiting, witness } = await waitingScene(t);
  const log = new Log();
  const holder = await lock(t, members);
  await sql(`insert into ${guarded.quoted} select i, repeat('x', 1000) from generate_series(1, 300) i`);
  await sql(`insert into ${free.quoted} values (1)`);
  await waitFor(async () => (await stat('parked_bytes')) >= 65536, 'the limit to be reached');
  assert.match(await log.hint(`changes of table "public.${guarded.name}" wait until a lock is released`), /ACCESS EXCLUSIVE/);
  assert.deepEqual(witness.events, []);
  assert.ok((await stat('parked_bytes')) < 80000);
  const client = await RawClient.open(t);
  await client.listen(`realtime:${newTopic()}`, [table(free)]);  // joins are served all the same
  await holder.query('commit');
  await waiting.count(300);
  await witness.count(1);
  assert.deepEqual(waiting.values(), upTo(300));
  await waitFor(async () => (await stat('parked_rows')) === 0, 'nothing to be parked');
});

test('realtime.max_parked_size bounds what waits of many tables together', async (t) => {
  await withSetting(t, 'realtime.max_parked_size', '64kB');
  const { members, guarded } = await scene(t);
  const rls = [`for select to authenticated using (exists (select 1 from ${members.quoted} m where m.user_id = auth.uid()))`];
  const sources = [guarded];
  while (sources.length < 6) sources.push(await withTable(t, 'id int primary key, body text', { rls }));
  const client = await makeClient(t, { token: kAnnToken });
  const all = await Promise.all(sources.map((source) => subscribe(client, table(source), { topic: newTopic('waiting') })));
  const log = new Log();
  const holder = await lock(t, members);
  for (const source of sources) await sql(`insert into ${source.quoted} values (1, repeat('x', 60000))`);
  await log.line('wait until a lock is released');
  assert.equal(await stat('parked_rows'), 2);
  await holder.query('commit');
  for (const waiting of all) await waiting.count(1);
});

test('with realtime.max_slot_lag near the position passes what waits, and nothing is lost', async (t) => {
  await withSetting(t, 'realtime.max_slot_lag', '16MB');
  const { members, guarded, free, waiting, witness } = await waitingScene(t);
  const log = new Log();
  const holder = await lock(t, members);
  await parked(guarded, witness, free, 1);
  for (let id = 2; id <= 4; id += 1) {
    await writeWal(10);
    const at = await one('select pg_current_wal_lsn()');
    await parked(guarded, witness, free, id);
    await waitFor(async () => one(`select '${await slotLsn()}'::pg_lsn >= '${at}'`), 'the position to pass');
  }
  await breakStream();
  await holder.query('commit');
  await waiting.count(4);
  assert.deepEqual(waiting.values(), upTo(4));
  assert.equal(log.count('starts over'), 0);
});

// A slot cannot be made while a transaction that holds a table's lock is open; an advisory lock does as well.
async function advised(t, key) {
  const name = `advised_${process.pid}_${key}`;
  cleanup(t, () => sql(`drop function if exists public.${name}() cascade`));
  await sql(`create function public.${name}() returns boolean language plpgsql stable as
    'begin perform pg_advisory_xact_lock(${key}); return true; end'`);
  const holder = await connect(t);
  await holder.query(`select pg_advisory_lock(${key})`);
  const release = () => holder.query(`select pg_advisory_unlock(${key})`);
  return { release, ...await waitingScene(t, { policy: () => `public.${name}()` }) };
}

test('what waits survives a new slot, which is not held back by it and moves on', async (t) => {
  const { release, guarded, free, waiting, witness } = await advised(t, 4241);
  await parked(guarded, witness, free, 1);
  const log = new Log();
  await withSetting(t, 'realtime.slot_name', 'realtime_other');
  await witness.system('error');
  await withSetting(t, 'realtime.max_slot_lag', '16MB');
  for (let id = 2; id <= 4; id += 1) {
    await parked(guarded, witness, free, id);
    await writeWal(10);
    const at = await one('select pg_current_wal_lsn()');
    await waitFor(async () => (await rows(`select 1 from pg_replication_slots
      where slot_name = 'realtime_other' and confirmed_flush_lsn >= '${at}'`)).length > 0, 'the new slot to pass what waits');
  }
  await release();
  await waiting.count(4);
  assert.deepEqual(waiting.values(), upTo(4));
  assert.equal(log.count('starts over'), 1);
});

test('a table that changes while its rows wait gets each in its own shape, and a dropped one holds up nobody', async (t) => {
  const { members, guarded, free, waiting, witness } = await waitingScene(t);
  const holder = await lock(t, members);
  await parked(guarded, witness, free, 1);
  await sql(`alter table ${guarded.quoted} add column extra text default 'new'`);
  await parked(guarded, witness, free, 2);
  await sql(`alter table ${guarded.quoted} rename body to text`);
  await parked(guarded, witness, free, 3);
  await holder.query('commit');
  await waiting.count(3);
  assert.deepEqual(waiting.events.map(({ new: row }) => [row.id, row.extra, row.text]),
    [[1, undefined, 'x'], [2, 'new', 'x'], [3, 'new', 'x']], 'a renamed column is the same column');

  const second = await lock(t, members);
  await parked(guarded, witness, free, 4);
  await sql(`drop table ${guarded.quoted}`);
  await passes(free, witness, 5);
  await second.query('commit');
  await waitFor(async () => (await stat('parked_rows')) === 0, 'nothing to be parked');
  await passes(free, witness, 6);
  assert.equal(waiting.events.length, 3);
});

test('the locked table itself may be dropped: its readers get an error, and the rest goes on', async (t) => {
  const { members, guarded, free, waiting, witness } = await waitingScene(t);
  const holder = await lock(t, members);
  await parked(guarded, witness, free, 1);
  await holder.query(`drop table ${members.quoted} cascade`);  // and the policy with it
  await holder.query('commit');
  await waitFor(async () => (await stat('parked_rows')) === 0, 'nothing to be parked');
  await passes(free, witness, 2);
  assert.deepEqual(waiting.events, []);
});

test('an advisory lock that a policy function meets is waited for like any other', async (t) => {
  const { release, guarded, free, waiting, witness } = await advised(t, 4242);
  for (const id of upTo(3)) await parked(guarded, witness, free, id);
  assert.deepEqual(waiting.events, []);
  await release();
  await waiting.count(3);
  assert.deepEqual(waiting.events.map((event) => [event.new.id, event.errors]), upTo(3).map((id) => [id, null]));
});

test('a new token and a leave while changes wait', async (t) => {
  const { members, guarded, free, witness } = await waitingScene(t);
  const ann = await RawClient.open(t);
  const topics = { stays: `realtime:${newTopic()}`, leaves: `realtime:${newTopic()}` };
  const refs = {};
  for (const [name, topic] of Object.entries(topics)) {
    refs[name] = (await ann.join(topic, { bindings: [table(guarded)], token: kAnnToken })).join_ref;
    await ann.event('system');
  }
  const holder = await lock(t, members);
  await parked(guarded, witness, free, 1);
  ann.push(topics.stays, 'access_token', { access_token: makeToken({ role: 'authenticated', sub: kAnn, again: 1 }) }, { join_ref: refs.stays });
  await ann.event('system');
  await ann.request(topics.leaves, 'phx_leave', {}, { join_ref: refs.leaves });
  await parked(guarded, witness, free, 2);
  await holder.query('commit');
  await sql(`insert into ${guarded.quoted} values (3)`);
  const got = [];
  while (got.at(-1)?.[1] !== 3) {
    const change = await ann.change();
    got.push([change.topic, change.payload.data.record.id]);
  }
  assert.deepEqual(got, [1, 2, 3].map((id) => [topics.stays, id]));
});

test('commits go on when a lock is held and synchronous_standby_names match the worker', async (t) => {
  const { members, guarded, free, waiting, witness } = await waitingScene(t);
  const holder = await lock(t, members);
  await parked(guarded, witness, free, 1);
  await withSetting(t, 'synchronous_standby_names', '*');
  await waitFor(async () => (await one("select sync_state from pg_stat_replication where application_name = 'realtime'")) === 'sync',
    'the worker to count as a standby');
  await holder.query(`alter table ${members.quoted} add column extra int default 1`);
  await holder.query('commit');  // would wait for the position, which would wait for the lock
  await waiting.count(1);
  await parked(guarded, witness, free, 2);
  await waiting.count(2);
  assert.deepEqual(waiting.values(), [1, 2]);
});

test('who waits behind a lock with since is told when the history has run over, and gets what is new once', async (t) => {
  await withSetting(t, 'realtime.history_size', '64kB');
  const { members, guarded, free, witness } = await waitingScene(t);
  const since = await one('select pg_current_wal_lsn()');
  const holder = await lock(t, members);
  await parked(guarded, witness, free, 1);
  const client = await RawClient.open(t);
  await client.listen(`realtime:${newTopic()}`, [table(guarded, { since })], { token: kAnnToken });
  for (let id = 2; id <= 6; id += 1) await parked(guarded, witness, free, id, 'x'.repeat(30000));
  const notice = await client.event('system');
  assert.match(notice.payload.message, /are no longer known.*read the table again/);
  assert.ok((await stat('history_bytes')) <= 65536);
  await holder.query('commit');
  await sql(`insert into ${guarded.quoted} values (7)`);
  const ids = [];
  while (ids.at(-1) !== 7) ids.push((await client.change()).payload.data.record.id);
  assert.deepEqual(ids, [...new Set(ids)].sort((a, b) => a - b), 'each once, in order');
});

test('a position from before the publication was dropped is too old', async (t) => {
  const source = await withTable(t, 'id int primary key');
  const witness = await subscribe(await makeClient(t), table(source));
  await sql(`insert into ${source.quoted} values (1)`);
  await witness.count(1);
  const since = await one('select pg_current_wal_lsn()');
  const others = (await rows(`select format('%I.%I', schemaname, tablename) as name from pg_publication_tables
                              where pubname = 'supabase_realtime'`)).map((row) => row.name);
  const log = new Log();
  cleanup(t, async () => {
    if (!(await one("select exists (select from pg_publication where pubname = 'supabase_realtime')"))) await publish(...others);
  });
  await sql('drop publication supabase_realtime');
  await log.line('publication "supabase_realtime" does not exist');
  await sql(`insert into ${source.quoted} values (-1)`);  // is missed
  await publish(...others);
  let last = 1;
  await waitFor(async () => {
    await sql(`insert into ${source.quoted} values (${last += 1})`);
    return witness.events.length > 1;
  }, 'changes to come again');
  const client = await RawClient.open(t);
  await client.listen(`realtime:${newTopic()}`, [table(source, { since })]);
  assert.match((await client.event('system')).payload.message, /no longer known/);
  await sql(`insert into ${source.quoted} values (0)`);
  await client.next((frame) => frame.event === 'postgres_changes' && frame.payload.data.record.id === 0);
});

test('two hundred who come back at once under load, by wildcard too, get all of it once and in order', async (t) => {
  const { members, guarded, witness } = await waitingScene(t);
  const since = await one('select pg_current_wal_lsn()');
  let go = true;
  let last = 0;
  const writer = (async () => {
    while (go || last < 300) await sql(`insert into ${guarded.quoted} values (${last += 1})`);
  })();
  const clients = await Promise.all(Array.from({ length: 200 }, async (_, i) => {
    const client = await RawClient.open(t);
    const binding = i % 4 === 0 ? { event: '*', schema: 'public', since } : table(guarded, { since });
    await client.listen(`realtime:${newTopic()}`, [binding], { token: kAnnToken });
    return client;
  }));
  const holder = await lock(t, members);
  await holder.query('commit');
  go = false;
  await writer;
  assert.ok(witness);
  for (const client of clients) {
    const ids = () => client.frames.filter((frame) => frame.event === 'postgres_changes').map((frame) => frame.payload.data.record.id);
    await waitFor(() => ids().at(-1) === last, () => `row ${last}; saw ${ids().slice(-3)}`, 60000);
    assert.deepEqual(ids(), upTo(last));
    assert.equal(client.frames.filter((frame) => frame.event === 'system' && frame.payload.status === 'error').length, 0);
  }
});

test('a prepared transaction may hold the lock, lock_timeout may be set, and the extension dropped meanwhile', async (t) => {
  const cluster = await Cluster.start(t, "max_prepared_transactions = 2\nlock_timeout = '1h'");
  await cluster.serving();
  await cluster.sql(`create table members (user_id uuid); insert into members values ('${kAnn}');
    create table guarded (id int primary key); grant select on members, guarded to authenticated, anon;
    alter table guarded enable row level security;
    create policy p on guarded for select using (exists (select from members));
    create table free (id int primary key); grant select on free to anon; select realtime.publish('guarded'), realtime.publish('free')`);
  const client = await cluster.client(t);
  await client.listen('realtime:prepared', [{ event: '*', schema: 'public' }]);
  const change = async () => (await client.change()).payload.data;
  await cluster.sql('begin; lock table members in access exclusive mode; create table mark (); prepare transaction \'holds\'');
  await cluster.sql('insert into guarded values (1)');
  await cluster.sql('insert into free values (1)');
  assert.equal((await change()).table, 'free');
  await cluster.sql("commit prepared 'holds'");
  assert.equal((await change()).table, 'guarded');

  await cluster.sql('begin; lock table members in access exclusive mode; create table mark2 (); prepare transaction \'holds\'');
  await cluster.sql('insert into guarded values (2)');
  await cluster.sql('insert into free values (2)');
  assert.equal((await change()).table, 'free');
  await cluster.sql('drop extension realtime');
  await cluster.sql("rollback prepared 'holds'");
  await cluster.sql('create extension realtime');
  await cluster.delivers(t);
});
