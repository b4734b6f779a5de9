'use strict';
// Somebody holds an ACCESS EXCLUSIVE lock for long (a migration). Changes that cannot be judged meanwhile wait, in order;
// everything else goes on.
const test = require('node:test');
const assert = require('node:assert/strict');
const { withTable, connect, sql, rows, transaction } = require('./lib/sql');
const { makeClient, subscribe, table, newTopic } = require('./lib/clients');
const { userToken } = require('./lib/token');
const { waitFor } = require('./lib/wait');
const { kAnn, scene, lock, passes } = require('./lib/locks');

const kBob = '88888888-8888-4888-8888-888888888888';

test('changes that wait for a lock arrive in order when it is released, and others are not delayed', async (t) => {
  const { members, guarded, free } = await scene(t);
  const client = await makeClient(t, { token: userToken(kAnn) });
  const waiting = await subscribe(client, table(guarded), { topic: newTopic('waiting') });
  const witness = await subscribe(client, table(free));
  const holder = await lock(t, members);
  await sql(`insert into ${guarded.quoted} values (1, 'a')`);
  await sql(`update ${guarded.quoted} set body = 'b' where id = 1`);
  await passes(free, witness, 1);
  await sql(`insert into ${guarded.quoted} values (2, 'c')`);
  await transaction([`insert into ${guarded.quoted} values (3, 'd')`, `insert into ${free.quoted} values (2)`]);
  await witness.event((event) => event.new.id === 2);
  assert.deepEqual(waiting.events, []);
  await holder.query('commit');
  await waiting.count(4);
  await sql(`insert into ${guarded.quoted} values (4, 'e')`);
  await waiting.count(5);
  assert.deepEqual(waiting.events.map((event) => [event.eventType, event.new.id, event.new.body, event.errors]), [
    ['INSERT', 1, 'a', null], ['UPDATE', 1, 'b', null], ['INSERT', 2, 'c', null], ['INSERT', 3, 'd', null], ['INSERT', 4, 'e', null],
  ]);
});

test('a change waits for a lock too that a function of its policy meets', async (t) => {
  const name = `locked_members_${process.pid}`;
  t.after(() => sql(`drop function if exists public.${name}() cascade`));
  const { members, guarded, free } = await scene(t, { policy: () => 'true' });
  await sql(`create function public.${name}() returns boolean language plpgsql security definer stable as
    'begin return exists (select 1 from ${members.quoted} where user_id = auth.uid()); end'`);
  await sql(`create policy by_function on ${guarded.quoted} as restrictive for select using (public.${name}())`);
  const client = await makeClient(t, { token: userToken(kAnn) });
  const waiting = await subscribe(client, table(guarded), { topic: newTopic('waiting') });
  const witness = await subscribe(client, table(free));
  const holder = await lock(t, members);
  await sql(`insert into ${guarded.quoted} values (1, 'a'), (2, 'b')`);
  await passes(free, witness, 1);
  assert.deepEqual(waiting.events, []);
  await holder.query('rollback');
  await waiting.count(2);
  assert.deepEqual(waiting.events.map((event) => [event.new.id, event.errors]), [[1, null], [2, null]]);
});

test('a join while the table is locked is answered, and begins behind what waits', async (t) => {
  const { members, guarded, free } = await scene(t);
  const client = await makeClient(t, { token: userToken(kAnn) });
  const early = await subscribe(client, table(guarded), { topic: newTopic('early') });
  const witness = await subscribe(client, table(free));
  const holder = await lock(t, members);
  await sql(`insert into ${guarded.quoted} values (1, 'before')`);
  await passes(free, witness, 1);
  const late = await subscribe(client, table(guarded), { topic: newTopic('late') });
  const other = await subscribe(client, table(free), { topic: newTopic('other') });
  await sql(`insert into ${guarded.quoted} values (2, 'after')`);
  await passes(free, other, 2);
  await holder.query('commit');
  await early.count(2);
  await late.count(1);
  await sql(`insert into ${guarded.quoted} values (3, 'last')`);
  await Promise.all([early.count(3), late.count(2)]);
  assert.deepEqual(early.values(), [1, 2, 3]);
  assert.deepEqual(late.values(), [2, 3]);
});

test('a migration that rewrites the published table itself delays no other table', async (t) => {
  const source = await withTable(t, 'id int primary key, big text', {
    rls: ['for select to authenticated using (length(big) > 3 or id > 0)'],
  });
  await sql(`alter table ${source.quoted} alter big set storage external`);
  const free = await withTable(t, 'id int primary key');
  const client = await makeClient(t, { token: userToken(kAnn) });
  await sql(`insert into ${source.quoted} values (1, repeat('x', 10000))`);
  const waiting = await subscribe(client, table(source), { topic: newTopic('waiting') });
  const witness = await subscribe(client, table(free));
  // The value of "big" is not in the stream, so that the policy needs the table.
  await sql(`update ${source.quoted} set id = 2`);
  await waiting.count(1);
  const holder = await connect(t);
  await holder.query('begin');
  await holder.query(`alter table ${source.quoted} add column extra text default 'new'`);
  await holder.query(`update ${source.quoted} set id = 3`);
  await passes(free, witness, 1);
  await holder.query('commit');
  await waiting.count(2);
  assert.deepEqual(waiting.events.map((event) => [event.new.id, event.new.extra]), [[2, undefined], [3, 'new']]);
});

test('a policy that raises "lock not available" itself is a failing policy', async (t) => {
  const name = `raises_lock_${process.pid}`;
  t.after(() => sql(`drop function if exists public.${name}() cascade`));
  await sql(`create function public.${name}() returns boolean language plpgsql stable as
    'begin raise exception ''mine'' using errcode = ''55P03''; end'`);
  const source = await withTable(t, 'id int primary key', { rls: [`for select using (public.${name}())`] });
  const recording = await subscribe(await makeClient(t, { token: userToken(kAnn) }), table(source));
  await sql(`insert into ${source.quoted} values (1)`);
  await recording.count(1);
  assert.match(recording.events[0].errors[0], /RLS policy evaluation failed/);
});

test('the confirmed position does not pass a commit that waits for a lock, and passes it afterwards', async (t) => {
  const { members, guarded, free } = await scene(t);
  const client = await makeClient(t, { token: userToken(kAnn) });
  const waiting = await subscribe(client, table(guarded), { topic: newTopic('waiting') });
  const witness = await subscribe(client, table(free));
  const confirmed = async () => (await rows(
    `select confirmed_flush_lsn as lsn from pg_replication_slots where slot_name = current_setting('realtime.slot_name')`))[0].lsn;
  const passed = async (lsn) => (await rows(`select $1::pg_lsn >= $2::pg_lsn as yes`, [await confirmed(), lsn]))[0].yes;
  const holder = await lock(t, members);
  await sql(`insert into ${guarded.quoted} values (1, 'a')`);
  const [{ lsn }] = await rows('select pg_current_wal_lsn() as lsn');
  for (let id = 1; id <= 5; id += 1) await passes(free, witness, id);
  assert.equal(await passed(lsn), false);
  await holder.query('commit');
  await waiting.count(1);
  await waitFor(() => passed(lsn), 'the slot to move on');
});

// A transaction that had rewritten a table left it empty to snapshots from before its end.
test('what a policy reads is what is there when the lock has been had, however close the holder\'s end', async (t) => {
  const { members, guarded, free } = await scene(t);
  const waiting = await subscribe(await makeClient(t, { token: userToken(kAnn) }), table(guarded));
  const witness = await subscribe(await makeClient(t), table(free));
  const holder = await connect(t);
  const ids = Array.from({ length: 60 }, (_, i) => i + 1);
  for (const id of ids) {
    await holder.query(`begin; alter table ${members.quoted} add column c${id} uuid default gen_random_uuid()`);
    await sql(`insert into ${guarded.quoted} values (${id})`);
    await passes(free, witness, id);
    await holder.query('commit');
  }
  await waiting.count(ids.length);
  assert.deepEqual(waiting.values(), ids);
});

test('who loses his right while a change waits does not get it', async (t) => {
  const { members, guarded, free } = await scene(t);
  await sql(`insert into ${members.quoted} values ('${kBob}')`);
  const ann = await makeClient(t, { token: userToken(kAnn) });
  const bob = await makeClient(t, { token: userToken(kBob) });
  const seen = await subscribe(ann, table(guarded), { topic: newTopic('ann') });
  const denied = await subscribe(bob, table(guarded), { topic: newTopic('bob') });
  const witness = await subscribe(bob, table(free));
  const holder = await lock(t, members);
  await sql(`insert into ${guarded.quoted} values (1, 'a')`);
  await passes(free, witness, 1);
  await holder.query(`delete from ${members.quoted} where user_id = '${kBob}'`);
  await holder.query('commit');
  await seen.count(1);
  await passes(free, witness, 2);
  assert.deepEqual(denied.events, []);
});
