'use strict';
// What the log says of policies and filters that fail: role, table and policy, or the filter's column, once a minute. The rows go
// to whoever else may see them, and so does all that follows. The lines of other tests must not come in between.
const test = require('node:test');
const assert = require('node:assert/strict');
const { withTable, withRole, sql } = require('../lib/sql');
const { makeClient, subscribe, table } = require('../lib/clients');
const { Log } = require('../lib/log');
const { withSetting } = require('../lib/server');
const { userToken } = require('../lib/token');

const kAnn = '66666666-6666-4666-8666-666666666666';
const kBob = '77777777-7777-4777-8777-777777777777';
const kPolicyError = ['Error 500: Internal Server Error, RLS policy evaluation failed'];
const kRows = 50;

const failed = (source) => `realtime could not judge a change of table "${source.schema}.${source.name}" for role "authenticated"`;
const as = (t, sub, claims, source, extra) =>
  makeClient(t, { token: userToken(sub, claims) }).then((client) => subscribe(client, table(source, extra)));

test('many rows that a policy fails on: one line with role, table and policy, and everybody else gets every row', async (t) => {
  const source = await withTable(t, 'id int primary key, n int');
  await sql(`alter table ${source.quoted} enable row level security;
    create policy "by level" on ${source.quoted} for select to authenticated using (n = (auth.jwt() ->> 'level')::int);
    create policy "of writers" on ${source.quoted} for insert to authenticated with check (true);
    create policy "of others" on ${source.quoted} for select to anon using (true)`);
  const odd = await as(t, kBob, { level: 'high' }, source);
  const fine = await as(t, kAnn, { level: '1' }, source);
  const log = new Log();
  await sql(`insert into ${source.quoted} select i, 1 from generate_series(1, ${kRows}) i`);
  await fine.count(kRows);
  await odd.count(kRows);
  for (const event of odd.events) assert.deepEqual([event.errors, event.new], [kPolicyError, {}]);
  assert.deepEqual(fine.values(), Array.from({ length: kRows }, (_, i) => i + 1));
  const hint = await log.hint(`${failed(source)} by policy "by level": invalid input syntax for type integer: "high" (SQLSTATE 22P02)`);
  assert.equal(hint, 'Its subscribers got an event with an error instead. Check the row-level security policies and the functions and tables they use.');
  // Nothing is lost after it, and the line is not repeated.
  await sql(`insert into ${source.quoted} values (1000, 1)`);
  await fine.event((event) => event.new.id === 1000);
  await odd.count(kRows + 1);
  assert.equal(log.count(failed(source)), 1);
});

test('the policies that a failure may be of: those of the role and of roles it is a member of, at most ten by name', async (t) => {
  const source = await withTable(t, 'id int primary key', { grant: 'public' });
  const group = await withRole(t);
  const stranger = await withRole(t);
  const role = await withRole(t);
  await sql(`grant ${group} to ${role}; alter table ${source.quoted} enable row level security;
    create policy a on ${source.quoted} using (false);
    create policy b on ${source.quoted} as restrictive for select to ${group} using (1 / (id - id) = 0);
    create policy c on ${source.quoted} for select to ${stranger} using (true);
    create policy d on ${source.quoted} for all to ${role} using (true);
    create policy e on ${source.quoted} for update using (true)`);
  const member = await as(t, kAnn, { role }, source);
  const log = new Log();
  await sql(`insert into ${source.quoted} values (1)`);
  await member.count(1);
  assert.deepEqual(member.events[0].errors, kPolicyError);
  await log.line(`for role "${role}" by policies "a", "b", "d": division by zero (SQLSTATE 22012)`);

  const crowded = await withTable(t, 'id int primary key', {
    rls: Array.from({ length: 12 }, () => 'for select using (1 / (id - id) = 0)'),
  });
  const other = await as(t, kAnn, {}, crowded);
  await sql(`insert into ${crowded.quoted} values (1)`);
  await other.count(1);
  await log.line(`${failed(crowded)} by policies "p0", "p1", "p10", "p11", "p2", "p3", "p4", "p5", "p6", "p7", ...: division by zero`);
});

test('a policy that runs out of time: the line says so, and its hint how to mend it', async (t) => {
  await withSetting(t, 'realtime.policy_timeout', '100ms');
  const source = await withTable(t, 'id int primary key', {
    rls: ["for select to authenticated using (case when auth.jwt() ->> 'slow' = 'yes' then pg_sleep(60) is not null else true end)"],
  });
  const slow = await as(t, kBob, { slow: 'yes' }, source);
  const fast = await as(t, kAnn, { slow: 'no' }, source);
  const log = new Log();
  await sql(`insert into ${source.quoted} values (1), (2)`);
  await fast.count(2);
  await slow.count(2);
  assert.deepEqual(slow.events.map((event) => event.errors), [kPolicyError, kPolicyError]);
  const hint = await log.hint(`${failed(source)} by policy "p0": canceling statement`);
  assert.match(hint, /faster, or raise realtime\.policy_timeout\.$/);
  assert.equal(log.count(failed(source)), 1);
});

test('a filter that fails: the line names its column and operator, no value and no policy', async (t) => {
  const source = await withTable(t, 'id int primary key, note text', { rls: ['for select to authenticated using (true)'] });
  // So long that LIKE could take longer than anybody may.
  const secret = `${'a'.repeat(900)}`;
  const odd = await as(t, kBob, {}, source, { filter: `id=gt.0,note=like.%${secret}%` });
  const fine = await as(t, kAnn, {}, source);
  const log = new Log();
  await sql(`insert into ${source.quoted} select i, repeat('b', 400000) from generate_series(1, 3) i`);
  await fine.count(3);
  await odd.count(3);
  assert.deepEqual(odd.events.map((event) => event.errors), [kPolicyError, kPolicyError, kPolicyError]);
  const hint = await log.hint(`${failed(source)} by the filter on "note" (like): a LIKE pattern is too long`);
  assert.match(hint, /The filter is the client's/);
  assert.equal(log.count(failed(source)), 1);
  assert.equal(log.count(secret), 0);
  assert.equal(log.count('by policy "p0"'), 0);
});

test('a filter that a change of the table makes void: the line names it, and its subscriber gets an error for each row', async (t) => {
  const source = await withTable(t, 'id int primary key, n int');
  const odd = await as(t, kBob, {}, source, { filter: 'n=not.eq.5' });
  const fine = await as(t, kAnn, {}, source);
  const log = new Log();
  await sql(`alter table ${source.quoted} drop column n`);
  await sql(`insert into ${source.quoted} values (1), (2)`);
  await fine.count(2);
  await odd.count(2);
  assert.deepEqual(odd.events.map((event) => event.errors), [kPolicyError, kPolicyError]);
  const hint = await log.hint(`${failed(source)} by the filter on "n" (not.eq): invalid column for filter n`);
  assert.match(hint, /subscribe again/);
});
