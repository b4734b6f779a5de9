'use strict';
// Subscribers that are found by the values of a row instead of asked one after the other: nobody may be missed. Each test has
// many of them, told apart by a filter, a policy or both.
const test = require('node:test');
const assert = require('node:assert/strict');
const { withTable, withRole, sql } = require('./lib/sql');
const { table } = require('./lib/clients');
const { makeToken } = require('./lib/token');
const { RawClient } = require('./lib/raw');
const { waitFor } = require('./lib/wait');

const kUsers = 40;
const kEndOfTest = 1000000;
const uuid = (n) => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`;
const users = Array.from({ length: kUsers }, (_, n) => n);

// One channel for each of `members` ({ token, binding }) on one socket. events(i): what member i was told until the end mark
// that `finish` writes; the mark must be shown to one more channel, which reads everything.
async function listen(t, source, members) {
  const client = await RawClient.open(t);
  const everybody = [...members, { token: makeToken({ role: 'service_role' }) }];
  everybody.forEach((member, i) => client.push(`realtime:${i}`, 'phx_join', {
    access_token: member.token, config: { postgres_changes: [table(source, member.binding)] },
  }, { join_ref: String(i + 1) }));
  const live = () => client.frames.filter((f) => f.event === 'system' && f.payload.status === 'ok').length;
  await waitFor(() => live() === everybody.length, () => `${everybody.length} live channels; saw ${live()}`);
  const eventsOf = (i) => client.frames.filter((f) => f.event === 'postgres_changes' && f.topic === `realtime:${i}`).map((f) => f.payload.data);
  const reached = (id) => waitFor(() => eventsOf(members.length).some((event) => event.type === 'INSERT' && event.record.id === id), `row ${id}`);
  return {
    events: eventsOf,
    reached,  // the row, and so every change before it, has been judged by the policies of today
    async finish() {
      await sql(`insert into ${source.quoted} (id) values (${kEndOfTest})`);
      const isEnd = (event) => event.type === 'INSERT' && event.record.id === kEndOfTest;
      await reached(kEndOfTest);
      return members.map((_, i) => eventsOf(i).filter((event) => !isEnd(event)));
    },
  };
}

const ids = (lists) => lists.map((events) => events.map((event) => event.record.id));
const asUser = (n, claims = {}) => ({ token: makeToken({ sub: uuid(n), tenant: n % 4, ...claims }) });
const own = (source, shift = 0) => sql(`insert into ${source.quoted} (id, user_id)
  select ${shift} + i, ('00000000-0000-4000-8000-' || lpad(i::text, 12, '0'))::uuid from generate_series(0, ${kUsers - 1}) i`);

const kDemands = {
  'auth.uid() = user_id': (n, row) => row === n,
  'user_id = (select auth.uid())': (n, row) => row === n,
  "user_id = (auth.jwt() ->> 'sub')::uuid": (n, row) => row === n,
  "tenant = (auth.jwt() ->> 'tenant')::int": (n, row) => row % 4 === n % 4,
  "tenant = (select (auth.jwt() ->> 'tenant')::int) and user_id > '00000000-0000-4000-8000-000000000019'": (n, row) => row % 4 === n % 4 && row > 19,
  'auth.uid() = user_id or tenant = 1': (n, row) => row === n || row % 4 === 1,
  'tenant = 3': (n, row) => row % 4 === 3,
  "user_id is not distinct from auth.uid()": (n, row) => row === n,
  "auth.uid() = user_id and tenant in (select v from (values (0), (2)) d(v) where v < 10)": (n, row) => row === n && row % 2 === 0,
};
for (const [condition, matches] of Object.entries(kDemands)) {
  test(`a policy finds exactly its users: ${condition}`, async (t) => {
    const source = await withTable(t, 'id int primary key, user_id uuid, tenant int', { rls: [`for select to authenticated using (${condition})`] });
    const heard = await listen(t, source, users.map((n) => asUser(n)));
    await sql(`insert into ${source.quoted} select i, ('00000000-0000-4000-8000-' || lpad(i::text, 12, '0'))::uuid, i % 4 from generate_series(0, 39) i`);
    const lists = ids(await heard.finish());
    lists.forEach((list, n) => assert.deepEqual(list, users.filter((row) => matches(n, row)), `user ${n}`));
  });
}

test('permissive policies are alternatives, restrictive ones demands', async (t) => {
  const source = await withTable(t, 'id int primary key, user_id uuid, tenant int', { rls: [
    'for select to authenticated using (auth.uid() = user_id)', 'for select to authenticated using (id % 10 = 7)',
    "as restrictive for select to authenticated using (tenant = (auth.jwt() ->> 'tenant')::int)"] });
  const heard = await listen(t, source, users.map((n) => asUser(n)));
  await sql(`insert into ${source.quoted} select i, ('00000000-0000-4000-8000-' || lpad(i::text, 12, '0'))::uuid, i % 4 from generate_series(0, 39) i`);
  const lists = ids(await heard.finish());
  lists.forEach((list, n) => assert.deepEqual(list, users.filter((row) => row % 4 === n % 4 && (row === n || row % 10 === 7)), `user ${n}`));
});

test('claims that are missing match nothing, claims that do not convert are an error for every row', async (t) => {
  const source = await withTable(t, 'id int primary key, user_id uuid', { rls: ['for select to authenticated using (auth.uid() = user_id)'] });
  const heard = await listen(t, source, [asUser(1), { token: makeToken({}) }, { token: makeToken({ sub: 'alice' }) }, asUser(2)]);
  await sql(`insert into ${source.quoted} values (1, '${uuid(1)}'), (2, '${uuid(2)}'), (3, null)`);
  const [one, nobody, broken, two] = await heard.finish();
  assert.deepEqual(ids([one, nobody, two]), [[1], [], [2]]);
  const errors = broken.map((event) => event.errors && event.errors.length);
  assert.deepEqual(errors, [1, 1, 1, 1], 'an error for each row, the end mark too');
});

test('people who join and leave between changes, and a policy that changes', async (t) => {
  const source = await withTable(t, 'id int primary key, user_id uuid, other uuid', { rls: ['for select to authenticated using (auth.uid() = user_id)'] });
  const first = await listen(t, source, users.map((n) => asUser(n)));
  await own(source);
  const second = await listen(t, source, users.map((n) => asUser(n, { late: true })));
  await own(source, 100);
  await second.reached(139);
  await sql(`alter policy p0 on ${source.quoted} using (auth.uid() = other)`);
  await own(source, 200);
  await sql(`insert into ${source.quoted} (id, other) select 300 + i, ('00000000-0000-4000-8000-' || lpad(i::text, 12, '0'))::uuid from generate_series(0, 39) i`);
  await second.reached(339);
  await sql(`alter policy p0 on ${source.quoted} using (true)`);
  await sql(`insert into ${source.quoted} (id) values (500)`);
  const isEnd = (list) => list.some((event) => event.record.id === 500);
  await waitFor(() => users.every((n) => isEnd(first.events(n)) && isEnd(second.events(n))), 'row 500 everywhere');
  users.forEach((n) => {
    assert.deepEqual(ids([first.events(n)])[0], [n, 100 + n, 300 + n, 500]);
    assert.deepEqual(ids([second.events(n)])[0], [100 + n, 300 + n, 500]);
  });
});

test('filters and policies together, whichever is used to look', async (t) => {
  const source = await withTable(t, 'id int primary key, user_id uuid, room int', { rls: ['for select to authenticated using (auth.uid() = user_id)'] });
  const members = users.map((n) => ({ ...asUser(n % 20), binding: { filter: `room=eq.${n % 2}` } }));
  const heard = await listen(t, source, [...members, { ...asUser(3), binding: { filter: 'room=eq.1', event: 'UPDATE' } }]);
  await sql(`insert into ${source.quoted} select u * 2 + r, ('00000000-0000-4000-8000-' || lpad(u::text, 12, '0'))::uuid, r
    from generate_series(0, 19) u, generate_series(0, 1) r`);
  await sql(`update ${source.quoted} set room = 1 where id = 6`);
  const lists = ids(await heard.finish());
  members.forEach((_, n) => {
    const wanted = [(n % 20) * 2 + (n % 2)];
    if (n % 20 === 3 && n % 2 === 1) wanted.push(6);
    assert.deepEqual(lists[n], wanted, `member ${n}`);
  });
  assert.deepEqual(lists[kUsers], [6]);
});

test('a negated filter is not looked up by its value', async (t) => {
  const source = await withTable(t, 'id int primary key, room int');
  const token = makeToken({ role: 'service_role' });
  const heard = await listen(t, source, ['not.eq.1', 'eq.1', 'not.eq.2'].map((filter) => ({ token, binding: { filter: `room=${filter}` } })));
  await sql(`insert into ${source.quoted} values (1, 1), (2, 2), (3, 3), (4, null)`);
  assert.deepEqual(ids(await heard.finish()), [[2, 3], [1], [1, 3]]);
});

test('values that hash alike are told apart', async (t) => {
  const [{ one, other }] = (await sql(`select min(i::text) as one, max(i::text) as other from generate_series(1, 400000) i
    group by hashtext(i::text) having count(*) > 1 limit 1`)).rows;
  const source = await withTable(t, 'id int primary key, name text', { rls: ["for select to authenticated using (auth.jwt() ->> 'name' = name)"] });
  const named = (name) => ({ token: makeToken({ sub: uuid(1), name }) });
  const filtered = (name) => ({ token: makeToken({ role: 'service_role' }), binding: { filter: `name=eq.${name}` } });
  const heard = await listen(t, source, [named(one), named(other), named(null), filtered(one), filtered(other)]);
  await sql(`insert into ${source.quoted} values (1, '${one}'), (2, '${other}'), (3, null), (4, ''), (5, '${one}')`);
  await sql(`update ${source.quoted} set name = '${other}' where id = 5`);
  assert.deepEqual(ids(await heard.finish()), [[1, 5], [2, 5], [], [1, 5], [2, 5]]);
});

test('a role that may not execute the equality of a policy is not answered by it', async (t) => {
  const source = await withTable(t, 'id int primary key, device macaddr8', { rls: ["for select to authenticated using (device = (auth.jwt() ->> 'device')::macaddr8)"] });
  const device = '08:00:2b:01:02:03:04:05';
  const heard = await listen(t, source, [{ token: makeToken({ sub: uuid(1), device }) }]);
  const allow = () => sql('grant execute on function pg_catalog.macaddr8_eq(macaddr8, macaddr8) to public');
  t.after(allow);
  const insert = async (id) => {
    await sql(`insert into ${source.quoted} values (${id}, '${device}')`);
    await heard.reached(id);
  };
  await insert(1);
  await sql('revoke execute on function pg_catalog.macaddr8_eq(macaddr8, macaddr8) from public');
  await insert(2);
  await allow();
  await insert(3);
  const [events] = await heard.finish();
  assert.deepEqual(events.map((event) => [event.record.id, Boolean(event.errors)]), [[1, false], [undefined, true], [3, false]]);
});

const kTypes = [
  { type: 'numeric', filter: '1.0', equal: ['1', '1.00', '1.000'], other: ['1.01', 'NaN'] },
  { type: 'text', filter: 'Ann', equal: ['Ann'], other: ['ann', 'Ann '] },
  { type: 'text collate "C"', filter: 'Ann', equal: ['Ann'], other: ['ann'] },
  { type: 'text collate public.any_case', filter: 'Ann', equal: ['Ann', 'ann', 'ANN'], other: ['Anna'] },
  { type: 'varchar(9)', filter: 'Ann', equal: ['Ann'], other: ['ann'] },
  { type: 'char(5)', filter: 'Ann', equal: ['Ann', 'Ann  '], other: ['ann'] },
  { type: 'public.any_case_text', filter: 'Ann', equal: ['Ann', 'ANN'], other: ['Anna'] },
  { type: 'public.index_domain', filter: '7', equal: ['7', '007'], other: ['8'] },
  { type: 'float8', filter: '0', equal: ['0', '-0', '0e5'], other: ['1'] },
  { type: 'timestamptz', filter: '2024-01-01T00:00:00Z', equal: ['2024-01-01 02:00+02'], other: ['2024-01-01 00:00+02'] },
  { type: 'interval', filter: '1 day', equal: ['24:00:00'], other: ['25:00:00'] },
  { type: 'jsonb', filter: '{"a": 1}', equal: ['{"a":1.0}'], other: ['{"a":2}'], noFilter: true },
  { type: 'bytea', filter: '\\x0102', equal: ['\\x0102'], other: ['\\x0103'], noFilter: true },
];
for (const { type, filter, equal, other, noFilter } of kTypes) {
  test(`equality of ${type} is the type's own`, async (t) => {
    await sql(`create extension if not exists citext schema public`);
    await sql(`create collation if not exists public.any_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false)`);
    await sql(`do $$ begin create domain public.any_case_text as citext; exception when duplicate_object then end $$`);
    await sql(`do $$ begin create domain public.index_domain as bigint check (value > 0); exception when duplicate_object then end $$`);
    const cast = type === 'public.any_case_text' ? 'public.citext' : type.replace(/ collate.*/, '');
    const claim = `(auth.jwt() ->> 'v')::${cast}`;
    const filtered = await withTable(t, `id int primary key, v ${type}`);
    const guarded = await withTable(t, `id int primary key, v ${type}`, { rls: [`for select to authenticated using (v = ${claim})`] });
    const members = users.slice(0, 5).map(() => ({ token: makeToken({ v: filter }) }));
    const byFilter = await listen(t, filtered, noFilter ? [] : members.map((member) => ({ ...member, binding: { filter: `v=eq.${filter}` } })));
    const byPolicy = await listen(t, guarded, members);
    for (const source of [filtered, guarded]) {
      for (const [i, value] of [...equal, ...other, null].entries()) await sql(`insert into ${source.quoted} values (${i}, $1::text::${type})`, [value]);
    }
    const wanted = equal.map((_, i) => i);
    for (const heard of [byFilter, byPolicy]) for (const list of ids(await heard.finish())) assert.deepEqual(list, wanted);
  });
}

test('a row that moves between users is told to the one who has it now', async (t) => {
  for (const full of [false, true]) {
    const source = await withTable(t, 'id int primary key, user_id uuid', { full, rls: ['for select to authenticated using (auth.uid() = user_id)'] });
    const heard = await listen(t, source, users.map((n) => asUser(n)));
    await own(source);
    await sql(`update ${source.quoted} set user_id = '${uuid(2)}' where id = 1`);
    await sql(`update ${source.quoted} set user_id = null where id = 5`);
    const lists = await heard.finish();
    lists.forEach((list, n) => assert.deepEqual(list.map((e) => [e.type, e.record.id]), n === 2 ? [['INSERT', 2], ['UPDATE', 1]] : [['INSERT', n]]));
    if (full) assert.deepEqual(lists[2][1].old_record, { id: 1 }, 'the old row was not theirs to see');
  }
});

test('a DELETE is told to those who could see the full old row, or to all when there is only a key', async (t) => {
  for (const full of [true, false]) {
    const source = await withTable(t, 'id int primary key, user_id uuid', { full, rls: ['for select to authenticated using (auth.uid() = user_id)'] });
    const heard = await listen(t, source, [...users.map((n) => asUser(n)), { token: makeToken({}) }, { ...asUser(1), binding: { filter: 'id=eq.4' } }]);
    await own(source);
    await sql(`delete from ${source.quoted} where id in (3, 4)`);
    const lists = (await heard.finish()).map((list) => list.filter((e) => e.type === 'DELETE').map((e) => e.old_record.id));
    users.forEach((n) => assert.deepEqual(lists[n], full ? [3, 4].filter((id) => id === n) : [3, 4], `user ${n}`));
    assert.deepEqual(lists.slice(kUsers), full ? [[], []] : [[3, 4], [4]]);
  }
});

test('SELECT revoked: every subscriber is told 401, whatever the row', async (t) => {
  const role = await withRole(t);
  const source = await withTable(t, 'id int primary key, user_id uuid', { grant: `service_role, ${role}`, rls: ['for select using (auth.uid() = user_id)'] });
  const heard = await listen(t, source, users.map((n) => ({ ...asUser(n, { role }), binding: n % 2 ? { filter: `user_id=eq.${uuid(n)}` } : {} })));
  await own(source);
  await heard.reached(kUsers - 1);
  await sql(`revoke select on ${source.quoted} from ${role}`);
  await sql(`insert into ${source.quoted} values (500, '${uuid(1)}')`);
  const lists = await heard.finish();
  lists.forEach((list, n) => {
    assert.equal(list[0].record.id, n);
    assert.deepEqual(list.slice(1).map((event) => event.errors), [['Error 401: Unauthorized'], ['Error 401: Unauthorized']], `user ${n}`);
  });
});

test('an unchanged value that the stream leaves out is looked up before anybody is skipped', async (t) => {
  const source = await withTable(t, 'id int primary key, owner text, n int', { rls: ["for select to authenticated using (owner = auth.jwt() ->> 'name')"] });
  await sql(`alter table ${source.quoted} alter owner set storage external`);
  const name = (n) => String(n).padStart(3000, 'x');
  const heard = await listen(t, source, users.slice(0, 5).map((n) => ({ token: makeToken({ name: name(n) }) })));
  await sql(`insert into ${source.quoted} select i, lpad(i::text, 3000, 'x'), 0 from generate_series(0, 4) i`);
  await sql(`update ${source.quoted} set n = 1 where id = 3`);
  const lists = await heard.finish();
  lists.forEach((list, n) => assert.deepEqual(list.map((e) => e.type), n === 3 ? ['INSERT', 'UPDATE'] : ['INSERT']));
});
