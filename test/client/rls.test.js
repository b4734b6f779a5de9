'use strict';
// Row-level security: each kind of policy lets through exactly the rows that a SELECT of the same user would show.
const test = require('node:test');
const assert = require('node:assert/strict');
const env = require('./lib/env');
const { withTable, withRole, enableRls, sql, transaction, uniqueName } = require('./lib/sql');
const { cleanup } = require('./lib/cleanup');
const { makeClient, subscribe, table, kVersions } = require('./lib/clients');
const { makeToken, userToken } = require('./lib/token');

const uuid = (n) => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`;
const kAnn = uuid(1);
const kBob = uuid(2);
const kEndOfTest = 1000000;  // a row that every policy of this file shows; commit order makes it the last event

async function listenAs(t, source, token, options = {}) {
  return subscribe(await makeClient(t, { token, vsn: options.vsn }), table(source, options.binding));
}

// Waits for the end mark at each recording, then returns the ids that it saw before it.
async function idsBeforeEnd(source, recordings) {
  await sql(`insert into ${source.quoted} (id) values (${kEndOfTest})`);
  const lists = [];
  for (const recording of recordings) {
    await recording.event((event) => event.new.id === kEndOfTest, 'the end mark');
    lists.push(recording.values().filter((id) => id !== kEndOfTest));
  }
  return lists;
}
const orEnd = (condition) => `for select using (id = ${kEndOfTest} or ${condition})`;
const owned = (t, condition, options = {}) => withTable(t, 'id int primary key, user_id uuid, body text', { rls: [orEnd(condition)], ...options });

for (const condition of ['auth.uid() = user_id', '(select auth.uid()) = user_id']) {
  test(`50 users and 1,000 rows, each gets exactly its own: ${condition}`, async (t) => {
    const source = await owned(t, condition);
    const recordings = [];
    for (let user = 0; user < 50; user += 1) {
      recordings.push(await listenAs(t, source, userToken(uuid(user)), { vsn: kVersions[user % 2] }));
    }
    await sql(`insert into ${source.quoted} select i, ('00000000-0000-4000-8000-' || lpad((i % 50)::text, 12, '0'))::uuid, 'row ' || i
      from generate_series(0, 499) i`);
    for (let i = 500; i < 1000; i += 10) {
      const values = Array.from({ length: 10 }, (_, k) => `(${i + k}, '${uuid((i + k) % 50)}', 'row')`);
      await sql(`insert into ${source.quoted} values ${values.join(', ')}`);
    }
    const lists = await idsBeforeEnd(source, recordings);
    lists.forEach((ids, user) => assert.deepEqual(ids, Array.from({ length: 20 }, (_, k) => user + 50 * k), `user ${user}`));
  });

  test(`two identities that alternate never see each other's rows: ${condition}`, async (t) => {
    const source = await owned(t, condition);
    const ann = await listenAs(t, source, userToken(kAnn));
    const bob = await listenAs(t, source, userToken(kBob));
    for (let i = 0; i < 100; i += 2) await sql(`insert into ${source.quoted} values (${i}, '${kAnn}'), (${i + 1}, '${kBob}')`);
    await transaction(Array.from({ length: 100 }, (_, k) => `insert into ${source.quoted} values (${100 + k}, '${k % 2 ? kBob : kAnn}')`));
    const [forAnn, forBob] = await idsBeforeEnd(source, [ann, bob]);
    assert.deepEqual(forAnn, Array.from({ length: 100 }, (_, k) => 2 * k));
    assert.deepEqual(forBob, Array.from({ length: 100 }, (_, k) => 2 * k + 1));
  });
}

// Rooms with members; ann is in rooms 1 and 2, bob in 2 and 3.
async function rooms(t, policy) {
  const members = await withTable(t, 'room int, user_id uuid', { publish: false });
  await sql(`insert into ${members.quoted} values (1, '${kAnn}'), (2, '${kAnn}'), (2, '${kBob}'), (3, '${kBob}')`);
  const source = await withTable(t, 'id int primary key, room int', { rls: [orEnd(policy(members))] });
  return { members, source };
}
const inList = (members) => `room in (select m.room from ${members.quoted} m where m.user_id = auth.uid())`;
const inListSelect = (members) => `room in (select m.room from ${members.quoted} m where m.user_id = (select auth.uid()))`;
const anyArray = (members) => `room = any (array(select m.room from ${members.quoted} m where m.user_id = (select auth.uid())))`;

const kMembership = {
  'IN (select …), a hashed sub-query': inList,
  'IN (select …) with (select auth.uid())': inListSelect,
  '= ANY (ARRAY (select …))': anyArray,
};
for (const [what, policy] of Object.entries(kMembership)) {
  test(`membership by ${what}`, async (t) => {
    const { members, source } = await rooms(t, policy);
    await membershipCase(t, members, source);
  });
}
test('membership by EXISTS', async (t) => {
  const name = uniqueName('rooms_');
  const members = await withTable(t, 'room int, user_id uuid', { publish: false });
  await sql(`insert into ${members.quoted} values (1, '${kAnn}'), (2, '${kAnn}'), (2, '${kBob}'), (3, '${kBob}')`);
  const source = await withTable(t, 'id int primary key, room int', {
    name, rls: [orEnd(`exists (select 1 from ${members.quoted} m where m.room = ${name}.room and m.user_id = auth.uid())`)],
  });
  await membershipCase(t, members, source);
});

// Memberships are read as they are when a change is judged, so each step waits until the one before has been delivered.
async function membershipCase(t, members, source) {
  const ann = await listenAs(t, source, userToken(kAnn));
  const bob = await listenAs(t, source, userToken(kBob));
  const service = await listenAs(t, source, env.serviceKey);
  const step = async (statements, forAnn, forBob) => {
    const before = service.events.length;
    await transaction(statements);
    await service.event((event, index) => index >= before && event.eventType === 'INSERT');
    await ann.count(forAnn);
    await bob.count(forBob);
  };
  const row = (id, room) => `insert into ${source.quoted} values (${id}, ${room})`;
  const member = (room, user) => `insert into ${members.quoted} values (${room}, '${user}')`;
  for (let id = 0; id < 8; id += 1) await step([row(id, id % 4)], [0, 1, 2, 2, 2, 3, 4, 4][id], [0, 0, 1, 2, 2, 2, 3, 4][id]);
  await step([member(3, kAnn), row(13, 3)], 5, 5);
  await step([`delete from ${members.quoted} where room = 2 and user_id = '${kBob}'`, row(12, 2)], 6, 5);
  // A membership of the same transaction counts, before and after the row.
  await step([member(4, kBob), row(14, 4)], 6, 6);
  await step([row(15, 5), member(5, kAnn)], 7, 6);
  const [forAnn, forBob, forService] = await idsBeforeEnd(source, [ann, bob, service]);
  assert.deepEqual(forAnn, [1, 2, 5, 6, 13, 12, 15]);
  assert.deepEqual(forBob, [2, 3, 6, 7, 13, 14]);
  assert.deepEqual(forService, [0, 1, 2, 3, 4, 5, 6, 7, 13, 12, 14, 15]);
}

test('the table that a policy reads has policies of its own', async (t) => {
  const { members, source } = await rooms(t, inList);
  await enableRls(members.quoted, ["for select to authenticated using (user_id = auth.uid() and room <> 2)"]);
  const ann = await listenAs(t, source, userToken(kAnn));
  await sql(`insert into ${source.quoted} values (1, 1), (2, 2), (3, 3)`);
  assert.deepEqual(await idsBeforeEnd(source, [ann]), [[1]]);
});

const kFunctions = {
  'an SQL function': "language sql stable as $$ select owner = auth.uid() $$",
  'a plpgsql function': 'language plpgsql stable as $$ begin return owner = auth.uid(); end $$',
  'a volatile plpgsql function': 'language plpgsql as $$ begin return owner = auth.uid(); end $$',
  'a SECURITY DEFINER function': "language sql stable security definer set search_path = '' as $$ select owner = auth.uid() $$",
};
for (const [what, body] of Object.entries(kFunctions)) {
  test(`a policy through ${what}`, async (t) => {
    const name = uniqueName('f_');
    cleanup(t, () => sql(`drop function ${name}(uuid) cascade`));
    await sql(`create function ${name}(owner uuid) returns boolean ${body}`);
    const source = await owned(t, `${name}(user_id)`);
    const ann = await listenAs(t, source, userToken(kAnn));
    const bob = await listenAs(t, source, userToken(kBob));
    await sql(`insert into ${source.quoted} values (1, '${kAnn}'), (2, '${kBob}'), (3, '${kAnn}'), (4, null)`);
    assert.deepEqual(await idsBeforeEnd(source, [ann, bob]), [[1, 3], [2]]);
  });
}

test('permissive policies add up, restrictive ones take away, roles are respected', async (t) => {
  const source = await withTable(t, 'id int primary key, n int, hidden bool default false', {
    rls: [`for select to authenticated using (n = 1)`, `for select to anon using (n = 2)`, `for select to public using (n = 3)`,
      `for insert to anon with check (true)`, `as restrictive for select to public using (not hidden)`,
      `for select to public using (id = ${kEndOfTest})`],
  });
  const user = await listenAs(t, source, userToken(kAnn));
  const anon = await listenAs(t, source);
  await sql(`insert into ${source.quoted} values (1, 1, false), (2, 2, false), (3, 3, false), (4, 4, false),
    (11, 1, true), (12, 2, true), (13, 3, true)`);
  assert.deepEqual(await idsBeforeEnd(source, [user, anon]), [[1, 3], [2, 3]]);
});

test('RLS without any policy shows nothing; without RLS everything is shown', async (t) => {
  const closed = await withTable(t, 'id int primary key', { rls: [] });
  const open = await withTable(t, 'id int primary key');
  const client = await makeClient(t, { token: userToken(kAnn) });
  const recording = await subscribe(client, [table(closed), table(open)]);
  const service = await listenAs(t, closed, env.serviceKey);
  await sql(`insert into ${closed.quoted} values (1)`);
  await sql(`insert into ${open.quoted} values (2)`);
  await recording.event((event) => event.new.id === 2);
  await service.count(1);
  assert.deepEqual(recording.values(), [2]);
});

test('the owner passes its own policies unless FORCE ROW LEVEL SECURITY is set', async (t) => {
  const owner = await withRole(t);
  const source = await owned(t, 'auth.uid() = user_id', { grant: `authenticated, ${owner}` });
  await sql(`alter table ${source.quoted} owner to ${owner}; grant usage on schema auth to ${owner}`);
  const asOwner = await listenAs(t, source, makeToken({ role: owner, sub: kAnn }));
  const user = await listenAs(t, source, userToken(kAnn));
  await sql(`insert into ${source.quoted} values (1, '${kAnn}'), (2, '${kBob}')`);
  await asOwner.count(2);
  await sql(`alter table ${source.quoted} force row level security`);
  await sql(`insert into ${source.quoted} values (3, '${kAnn}'), (4, '${kBob}')`);
  assert.deepEqual(await idsBeforeEnd(source, [asOwner, user]), [[1, 2, 3], [1, 3]]);
});

test('policies see the claims, the role and the user that a request would have', async (t) => {
  const checks = [
    "current_user = 'authenticated'", "auth.role() = 'authenticated'", `auth.uid() = '${kAnn}'`, "auth.jwt() ->> 'tenant' = 'blue'",
    "current_setting('request.jwt.claims', true)::jsonb -> 'app_metadata' ->> 'plan' = 'pro'",
    "current_setting('is_superuser') = 'off'", "current_setting('row_security') = 'on'",
  ];
  const cases = checks.map((check, i) => `when ${i} then ${check}`).join(' ');
  const source = await withTable(t, 'id int primary key', {
    rls: [orEnd(`(case id ${cases} end)`)],
  });
  const token = userToken(kAnn, { tenant: 'blue', app_metadata: { plan: 'pro' } });
  const recording = await listenAs(t, source, token);
  const other = await listenAs(t, source, userToken(kBob, { tenant: 'red' }));
  await sql(`insert into ${source.quoted} select i from generate_series(0, ${checks.length - 1}) i`);
  const [ids, others] = await idsBeforeEnd(source, [recording, other]);
  assert.deepEqual(ids.map((id) => checks[id]), checks);
  assert.deepEqual(others, [0, 1, 5, 6]);
});

test('UPDATE is judged on the new row; old_record beyond the key only if the old row was visible', async (t) => {
  const source = await owned(t, 'auth.uid() = user_id', { full: true });
  const ann = await listenAs(t, source, userToken(kAnn), { binding: { event: 'UPDATE' } });
  const bob = await listenAs(t, source, userToken(kBob), { binding: { event: 'UPDATE' } });
  await sql(`insert into ${source.quoted} values (1, '${kAnn}', 'secret of ann')`);
  await sql(`update ${source.quoted} set body = 'still ann' where id = 1`);
  await sql(`update ${source.quoted} set user_id = '${kBob}', body = 'now bob' where id = 1`);
  await sql(`update ${source.quoted} set body = 'still bob' where id = 1`);
  await ann.count(1);
  await bob.count(2);
  assert.deepEqual(ann.events.map((event) => [event.new.body, event.old.body]), [['still ann', 'secret of ann']]);
  assert.deepEqual(bob.events.map((event) => event.new.body), ['now bob', 'still bob']);
  assert.deepEqual(bob.events[0].old, { id: 1 });
  assert.equal(bob.events[1].old.body, 'now bob');
});

test('DELETE: with REPLICA IDENTITY FULL the old row is judged, else everybody gets the key', async (t) => {
  const rls = ['for select using (auth.uid() = user_id)'];
  const full = await withTable(t, 'id int primary key, user_id uuid, body text', { full: true, rls });
  const keyed = await withTable(t, 'id int primary key, user_id uuid, body text', { rls });
  const client = await makeClient(t, { token: userToken(kAnn) });
  const recording = await subscribe(client, [table(full, { event: 'DELETE' }), table(keyed, { event: 'DELETE' })]);
  for (const source of [full, keyed]) {
    await sql(`insert into ${source.quoted} values (1, '${kAnn}', 'mine'), (2, '${kBob}', 'his')`);
    await sql(`delete from ${source.quoted} where id = 2`);
    await sql(`delete from ${source.quoted} where id = 1`);
  }
  await recording.count(3);
  assert.deepEqual(recording.events.map((event) => [event.binding, event.old]),
    [[0, { id: 1, user_id: kAnn, body: 'mine' }], [1, { id: 2 }], [1, { id: 1 }]]);
});

test('a row that is gone or changed again by now is judged as it was', async (t) => {
  const source = await owned(t, 'auth.uid() = user_id');
  const ann = await listenAs(t, source, userToken(kAnn));
  const bob = await listenAs(t, source, userToken(kBob));
  await transaction([`insert into ${source.quoted} values (1, '${kAnn}')`, `update ${source.quoted} set user_id = '${kBob}'`,
    `delete from ${source.quoted}`]);
  await ann.event((event) => event.eventType === 'DELETE');
  await bob.event((event) => event.eventType === 'DELETE');
  assert.deepEqual(ann.events.map((event) => event.eventType), ['INSERT', 'DELETE']);
  assert.deepEqual(bob.events.map((event) => event.eventType), ['UPDATE', 'DELETE']);
});

test('a filter and a policy both hold', async (t) => {
  const source = await owned(t, '(select auth.uid()) = user_id');
  const recording = await listenAs(t, source, userToken(kAnn), { binding: { filter: 'id=gt.10' } });
  await sql(`insert into ${source.quoted} values (1, '${kAnn}'), (11, '${kAnn}'), (12, '${kBob}'), (13, '${kAnn}')`);
  assert.deepEqual(await idsBeforeEnd(source, [recording]), [[11, 13]]);
});

test('a policy on a column whose TOASTed value was not changed', async (t) => {
  const source = await withTable(t, 'id int primary key, n int, big text', { rls: ["for select using (left(big, 1) = 'v')"] });
  await sql(`alter table ${source.quoted} alter big set storage external`);
  await sql(`insert into ${source.quoted} values (1, 0, repeat('v', 9000)), (2, 0, repeat('x', 9000))`);
  const recording = await listenAs(t, source, userToken(kAnn), { binding: { event: 'UPDATE' } });
  await sql(`update ${source.quoted} set n = 1 where id = 2`);
  await sql(`update ${source.quoted} set n = 1 where id = 1`);
  await recording.count(1);
  assert.deepEqual(recording.values(), [1]);
});

test('policies on system columns and whole rows', async (t) => {
  const name = uniqueName('whole_');
  const source = await withTable(t, 'id int primary key, user_id uuid', {
    name, rls: [`for select using (${name}.tableoid = 'public.${name}'::regclass and (to_jsonb(${name}) ->> 'user_id')::uuid = auth.uid())`],
  });
  const recording = await listenAs(t, source, userToken(kAnn));
  await sql(`insert into ${source.quoted} values (1, '${kBob}')`);
  await sql(`insert into ${source.quoted} values (2, '${kAnn}')`);
  await recording.count(1);
  assert.deepEqual(recording.values(), [2]);
});

test('a part of a policy that PostgreSQL simplifies away is never run, as in a session', async (t) => {
  const name = `nobody_may_call_${process.pid}`;
  t.after(() => sql(`drop function if exists public.${name}(int) cascade`));
  await sql(`create function public.${name}(int) returns boolean language sql stable as 'select $1 > 0'`);
  const source = await withTable(t, 'id int primary key, level int', {
    rls: ['for select using (level = 1)', `for select using (level = 1 and (id > 0 and public.${name}(id)))`],
  });
  await sql(`revoke execute on function public.${name} from public`);
  const recording = await subscribe(await makeClient(t, { token: userToken(kAnn) }), table(source));
  await sql(`insert into ${source.quoted} values (1, 2), (2, 1), (3, null), (4, 1)`);
  await recording.event((event) => event.new.id === 4);
  assert.deepEqual(recording.events.map((event) => [event.new.id, event.errors]), [[2, null], [4, null]]);
});
