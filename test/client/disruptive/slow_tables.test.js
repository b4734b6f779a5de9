'use strict';
// Tables whose changes take long to judge, each check below realtime.policy_timeout: their subscribers get everything in order,
// and everybody else waits for a part of a row at most, not for all of them.
const test = require('node:test');
const assert = require('node:assert/strict');
const { withTable, sql, uniqueName, one, walsender, waitForWalsender } = require('../lib/sql');
const { makeClient, subscribe, watch, table, newTopic } = require('../lib/clients');
const { userToken } = require('../lib/token');
const { withSetting } = require('../lib/server');
const { cleanup } = require('../lib/cleanup');
const { waitFor } = require('../lib/wait');
const { RawClient } = require('../lib/raw');
const { Log } = require('../lib/log');
const { passes } = require('../lib/locks');

const kSleep = 'pg_sleep(0.15) is not null';
const kUsers = 12;
const userId = (i) => `00000000-0000-4000-8000-${String(i).padStart(12, '0')}`;
const upTo = (last) => Array.from({ length: last }, (_, i) => i + 1);

// A table that is slow for each of its subscribers, and a witness at another one, whose row `passes` sends through the stream.
async function scene(t, { policy = kSleep, users = kUsers, columns = 'id int primary key, user_id uuid', full = false } = {}) {
  const slow = await withTable(t, columns, { full, rls: policy ? [`for select to authenticated using (${policy})`] : undefined });
  const free = await withTable(t, 'id int primary key');
  const witness = await subscribe(await makeClient(t), table(free), { topic: newTopic('witness') });
  const slowed = await Promise.all(upTo(users).map(async (i) =>
    subscribe(await makeClient(t, { token: userToken(userId(i)) }), table(slow), { topic: newTopic('slow') })));
  return { slow, free, witness, slowed };
}

const nothingParked = () => waitFor(
  async () => Number(await one('select parked_rows from realtime.stat_worker')) === 0, 'nothing to be parked');
const received = (recordings) => recordings.reduce((sum, recording) => sum + recording.events.length, 0);
const each = (recordings, ids) => {
  for (const recording of recordings) {
    assert.deepEqual(recording.events.map((event) => [event.new.id, event.errors]), ids.map((id) => [id, null]));
  }
};

test('a row that takes long for each of many users is cut: another table goes in between, and each user gets it once', async (t) => {
  const { slow, free, witness, slowed } = await scene(t);
  await sql(`insert into ${slow.quoted} values (1)`);
  await sql(`insert into ${slow.quoted} values (2)`);
  await passes(free, witness, 1);
  assert.ok(received(slowed) < kUsers, `${received(slowed)} had it before`);
  await passes(free, witness, 2);
  assert.ok(received(slowed) < 2 * kUsers, `${received(slowed)} had it before`);
  await Promise.all(slowed.map((recording) => recording.count(2)));
  await sql(`insert into ${slow.quoted} values (3)`);
  await Promise.all(slowed.map((recording) => recording.count(3)));
  each(slowed, [1, 2, 3]);
  await nothingParked();
});

test('many rows that take long yield to the rows of others, and keep their order', async (t) => {
  const { slow, free, witness, slowed } = await scene(t, { users: 1 });
  await sql(`insert into ${slow.quoted} select generate_series(1, 20)`);
  for (let id = 1; id <= 3; id += 1) {
    await passes(free, witness, id);
    assert.ok(received(slowed) < 20, 'all of them came first');
  }
  await slowed[0].count(20, 60000);
  each(slowed, upTo(20));
});

// What it demands is found out for each user, as the function says that it is immutable.
async function demanding(t, ms) {
  const name = uniqueName('owner_');
  cleanup(t, () => sql(`drop function if exists public.${name}() cascade`));
  await sql(`create function public.${name}() returns uuid language plpgsql immutable as
    'begin if current_setting(''application_name'') = ''realtime'' then perform pg_sleep(${ms / 1000}); end if; return auth.uid(); end'`);
  return `public.${name}() = user_id`;
}

test('what is found out for each user before the first row takes its turns, too', async (t) => {
  const { slow, free, witness, slowed } = await scene(t, { policy: await demanding(t, 150) });
  await sql(`insert into ${slow.quoted} values (1, '${userId(kUsers)}')`);
  await passes(free, witness, 1);
  assert.equal(received(slowed), 0);
  await slowed[kUsers - 1].count(1);
  await sql(`insert into ${slow.quoted} values (2, '${userId(1)}')`);
  await slowed[0].count(1);
  assert.equal(received(slowed), 2);
});

test('generated columns that take long yield, too', async (t) => {
  const name = uniqueName('made_');
  cleanup(t, () => sql(`drop function if exists public.${name}(int) cascade`));
  await sql(`create function public.${name}(i int) returns int language plpgsql immutable as
    'begin if current_setting(''application_name'') = ''realtime'' then perform pg_sleep(0.15); end if; return i; end'`);
  const { slow, free, witness, slowed } = await scene(t, { policy: null, users: 1,
    columns: `id int primary key, made int generated always as (public.${name}(id)) stored` });
  await sql(`insert into ${slow.quoted} select generate_series(1, 20)`);
  await passes(free, witness, 1);
  assert.ok(received(slowed) < 20, 'all of them came first');
  await slowed[0].count(20, 60000);
  each(slowed, upTo(20));
});

test('who leaves, comes, or brings a new token while a row is being judged: nobody gets it twice, the others get it', async (t) => {
  const { slow, free, witness, slowed } = await scene(t);
  await sql(`insert into ${slow.quoted} values (1)`);
  await passes(free, witness, 1);
  await slowed[0].channel.unsubscribe();
  await slowed[kUsers - 1].channel.socket.setAuth(userToken(userId(kUsers + 1)));
  await slowed[1].channel.socket.setAuth(userToken(userId(kUsers + 2)));
  const late = watch(await makeClient(t, { token: userToken(userId(kUsers + 3)) }), [table(slow)], { topic: newTopic('late') });
  await Promise.all(slowed.slice(1).map((recording) => recording.count(1)));
  await late.system('ok');
  await sql(`insert into ${slow.quoted} values (2)`);
  await Promise.all(slowed.slice(1).map((recording) => recording.count(2)));
  await late.count(1);
  each(slowed.slice(1), [1, 2]);
  each([late], [2]);
});

test('a table that is dropped, or changed, while its row is being judged leaves the others alone', async (t) => {
  const { slow, free, witness, slowed } = await scene(t);
  await sql(`insert into ${slow.quoted} values (1)`);
  await passes(free, witness, 1);
  await sql(`alter table ${slow.quoted} add column more text default 'x'`);
  await Promise.all(slowed.map((recording) => recording.count(1)));
  await sql(`insert into ${slow.quoted} values (2)`);
  await passes(free, witness, 2);
  await sql(`drop table ${slow.quoted}`);
  await passes(free, witness, 3);
  await nothingParked();
  for (const recording of slowed) assert.equal(recording.events[0].new.id, 1);
});

test('clients that come back to a table that takes long get what they missed, and others go in between', async (t) => {
  const { slow, free, witness, slowed } = await scene(t, { users: 1 });
  await sql(`insert into ${slow.quoted} values (1)`);
  await slowed[0].count(1);
  const since = await one('select pg_current_wal_lsn()');
  await sql(`insert into ${slow.quoted} select generate_series(2, 21)`);
  await slowed[0].count(21, 60000);
  const back = watch(await makeClient(t, { token: userToken(userId(2)) }), [table(slow, { since })], { topic: newTopic('back') });
  await back.count(1);
  for (let id = 1; id <= 3; id += 1) {
    await passes(free, witness, id);
    assert.ok(back.events.length < 20, 'all of them came first');
  }
  await back.count(20, 60000);
  each([back], upTo(21).slice(1));
});

test('with realtime.max_parked_size reached the stream waits, the log says for which table, and nothing is lost', async (t) => {
  await withSetting(t, 'realtime.max_parked_size', '64kB');
  await withSetting(t, 'realtime.policy_timeout', '5s');
  const { slow, free, witness, slowed } = await scene(t, { policy: "id > 8 or pg_sleep(1) is not null", users: 1,
    columns: 'id int primary key, body text' });
  const log = new Log();
  await sql(`insert into ${slow.quoted} select i, repeat('x', 1000) from generate_series(1, 300) i`);
  await sql(`insert into ${free.quoted} values (1)`);
  assert.match(await log.hint(`changes of table "public.${slow.name}" take long to judge, `), /policies faster/);
  await slowed[0].count(300);
  await witness.count(1);
  each(slowed, upTo(300));
});

test('policies that take a while and then fail yield, too', async (t) => {
  const name = uniqueName('raises_');
  cleanup(t, () => sql(`drop function if exists public.${name}() cascade`));
  await sql(`create function public.${name}() returns boolean language plpgsql stable as
    'begin perform pg_sleep(0.08); raise ''no''; end'`);
  const { slow, free, witness, slowed } = await scene(t, { policy: `public.${name}()`, users: 20 });
  await sql(`insert into ${slow.quoted} values (1)`);
  await passes(free, witness, 1);
  assert.ok(received(slowed) < 20, `${received(slowed)} had their event before`);
  await Promise.all(slowed.map((recording) => recording.count(1)));
  for (const recording of slowed) assert.equal(recording.events[0].errors.length, 1);
});

test('many rows that take some milliseconds each yield, too', async (t) => {
  const { slow, free, witness, slowed } = await scene(t, { policy: 'pg_sleep(0.006) is not null', users: 1 });
  await sql(`insert into ${slow.quoted} select generate_series(1, 1000)`);
  await passes(free, witness, 1);
  assert.ok(received(slowed) < 500, `${received(slowed)} came before`);
  await slowed[0].count(1000, 60000);
  each(slowed, upTo(1000));
});

test('clients that come back to a fast table do not wait for a slow one', async (t) => {
  const { slow, free, witness, slowed } = await scene(t);
  await passes(free, witness, 1);
  const since = await one('select pg_current_wal_lsn()');
  for (let id = 2; id <= 50; id += 1) await sql(`insert into ${free.quoted} values (${id})`);
  await witness.count(50);
  await sql(`insert into ${slow.quoted} select generate_series(1, 3)`);
  const back = watch(await makeClient(t), [table(free, { since })], { topic: newTopic('back') });
  await back.count(49);
  assert.ok(received(slowed) < 3 * kUsers, 'the slow table came first');
  each([back], upTo(50).slice(1));
  await Promise.all(slowed.map((recording) => recording.count(3)));
});

test('a channel with two bindings, cut between them, gets the row once for each', async (t) => {
  const slow = await withTable(t, 'id int primary key', { rls: [`for select to authenticated using (${kSleep})`] });
  const recordings = await Promise.all(upTo(4).map(async (i) =>
    subscribe(await makeClient(t, { token: userToken(userId(i)) }), [table(slow, { event: 'INSERT' }), table(slow)])));
  await sql(`insert into ${slow.quoted} values (1)`);
  await sql(`update ${slow.quoted} set id = 2`);
  await Promise.all(recordings.map((recording) => recording.count(3)));
  await sql(`delete from ${slow.quoted}`);
  for (const recording of recordings) {
    await recording.count(4);
    assert.deepEqual(recording.events.map((event) => [event.eventType, event.binding]).slice(0, 2).sort(), [['INSERT', 0], ['INSERT', 1]]);
    assert.deepEqual(recording.events.map((event) => [event.eventType, event.binding]).slice(2), [['UPDATE', 1], ['DELETE', 1]]);
  }
});

test('what was judged in part survives a broken stream: nobody gets it twice, the others get it', async (t) => {
  const { slow, free, witness, slowed } = await scene(t);
  await sql(`insert into ${slow.quoted} values (1)`);
  await passes(free, witness, 1);
  const before = await waitForWalsender();
  await sql('select pg_terminate_backend($1)', [before]);
  await Promise.all(slowed.map((recording) => recording.count(1)));
  await waitFor(async () => ![undefined, before].includes(await walsender()), 'the next stream');
  await sql(`insert into ${slow.quoted} values (2)`);
  await Promise.all(slowed.map((recording) => recording.count(2)));
  each(slowed, [1, 2]);
});

// More users than find their places between two changes of the table.
for (const [ms, users] of [[150, 20], [5, 500]]) {
  test(`a table that changes all the time is served, when finding places takes ${ms} ms for each of ${users} users`, async (t) => {
    const slow = await withTable(t, 'id int primary key, user_id uuid', {
      rls: [`for select to authenticated using (${await demanding(t, ms)})`],
    });
    const clients = [];
    for (let i = 0; i < users; i += 1) {
      if (i % 100 === 0) clients.push(await RawClient.open(t));
      await clients.at(-1).listen(`realtime:${i + 1}`, [table(slow)], { token: userToken(userId(i + 1)) });
    }
    const events = () => clients.flatMap(({ frames }) => frames.filter(({ event }) => event === 'postgres_changes').map(({ topic }) => topic));
    let done = false;
    const changes = (async () => {
      while (!done) await sql(`analyze ${slow.quoted}; alter table ${slow.quoted} alter user_id set statistics 10; select pg_sleep(0.8)`);
    })();
    await sql(`insert into ${slow.quoted} values (1, '${userId(users)}')`);
    await waitFor(() => events().length === 1, 'the row', 30000).finally(() => { done = true; });
    await changes;
    await sql(`insert into ${slow.quoted} values (2, '${userId(1)}')`);
    await waitFor(() => events().length === 2, 'the next row', 30000);
    assert.deepEqual(events().sort(), ['realtime:1', `realtime:${users}`]);
  });
}
