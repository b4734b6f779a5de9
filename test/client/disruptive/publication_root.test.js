'use strict';
// publish_via_partition_root = true: changes of partitions go by the root's name, with its columns, policies and filters.
const test = require('node:test');
const assert = require('node:assert/strict');
const { alterPublication, withTable, publish, sql, uniqueName } = require('../lib/sql');
const { makeClient, subscribe, table } = require('../lib/clients');
const { cleanup } = require('../lib/cleanup');
const { userToken } = require('../lib/token');

const kAnn = '00000000-0000-4000-8000-000000000001';
const kBob = '00000000-0000-4000-8000-000000000002';

async function publishRoot(t, source) {
  await publish(source.quoted);
  cleanup(t, () => alterPublication('set (publish_via_partition_root = false)'));
  await alterPublication('set (publish_via_partition_root = true)');
}

// A published root with two partitions, the second of which has its columns in another order and one more dropped.
async function withRoot(t, { rls = [], identity = 'default' } = {}) {
  const name = uniqueName('root_');
  const source = { schema: 'public', name, quoted: `public.${name}` };
  cleanup(t, () => sql(`drop table if exists ${name}`));
  await sql(`create table ${name} (id int primary key, user_id uuid, big text) partition by range (id);
    create table ${name}_a partition of ${name} for values from (0) to (10);
    create table ${name}_b (big text, gone int, id int not null, user_id uuid); alter table ${name}_b drop column gone;
    alter table ${name} attach partition ${name}_b for values from (10) to (20);
    alter table ${name} alter big set storage external; alter table ${name}_a alter big set storage external;
    alter table ${name}_b alter big set storage external;
    grant select on ${name}, ${name}_a, ${name}_b to anon, authenticated`);
  for (const part of ['', '_a', '_b']) await sql(`alter table ${name}${part} replica identity ${identity}`);
  if (rls.length > 0) await sql(`alter table ${name} enable row level security`);
  for (const [i, policy] of rls.entries()) await sql(`create policy p${i} on ${name} ${policy.replaceAll('ROOT', name)}`);
  await publishRoot(t, source);
  return source;
}

test('every operation goes by the name of the root, and a row that moves is deleted and inserted', async (t) => {
  const source = await withRoot(t, { identity: 'full' });
  const recording = await subscribe(await makeClient(t), table(source));
  await sql(`insert into ${source.name} values (1, null, 'x'), (11, null, 'y')`);
  await sql(`update ${source.name} set big = big || '!'`);
  await sql(`update ${source.name} set id = 12 where id = 1`);
  await sql(`delete from ${source.name} where id = 11`);
  await recording.count(7);
  const seen = recording.events.map((event) => [event.table, event.eventType, event.new.id, event.new.big, event.old.id, event.old.big]);
  assert.deepEqual(seen, [
    [source.name, 'INSERT', 1, 'x', undefined, undefined], [source.name, 'INSERT', 11, 'y', undefined, undefined],
    [source.name, 'UPDATE', 1, 'x!', 1, 'x'], [source.name, 'UPDATE', 11, 'y!', 11, 'y'],
    [source.name, 'DELETE', undefined, undefined, 1, 'x!'], [source.name, 'INSERT', 12, 'x!', undefined, undefined],
    [source.name, 'DELETE', undefined, undefined, 11, 'y!'],
  ]);
});

test('partitions that are attached later belong to the root at once', async (t) => {
  const source = await withRoot(t);
  const recording = await subscribe(await makeClient(t), table(source));
  await sql(`create table ${source.name}_c partition of ${source.name} for values from (20) to (30)`);
  await sql(`insert into ${source.name} values (21)`);
  await recording.count(1);
  assert.deepEqual([recording.events[0].table, recording.events[0].new.id], [source.name, 21]);
});

const kPolicies = {
  'a policy of the root': 'for select to authenticated using (auth.uid() = user_id)',
  'a policy that looks at the stored row': "for select to authenticated using ((to_jsonb(ROOT) ->> 'user_id')::uuid = auth.uid())",
};
for (const [what, policy] of Object.entries(kPolicies)) {
  test(`${what} judges the rows of its partitions`, async (t) => {
    const source = await withRoot(t, { rls: [policy] });
    const recording = await subscribe(await makeClient(t, { token: userToken(kAnn) }), table(source));
    await sql(`insert into ${source.name} values (1, '${kBob}'), (11, '${kBob}'), (2, '${kAnn}'), (12, '${kAnn}')`);
    await recording.count(2);
    assert.deepEqual(recording.values(), [2, 12]);
  });
}

test('a policy of the root on a TOASTed value that was not changed', async (t) => {
  const source = await withRoot(t, { rls: ["for select using (left(big, 1) = 'v')"] });
  await sql(`insert into ${source.name} values (1, null, repeat('x', 9000)), (11, null, repeat('x', 9000)),
    (2, null, repeat('v', 9000)), (12, null, repeat('v', 9000))`);
  const recording = await subscribe(await makeClient(t), table(source, { event: 'UPDATE' }));
  for (const id of [1, 11, 2, 12]) await sql(`update ${source.name} set user_id = '${kAnn}' where id = ${id}`);
  await recording.count(2);
  assert.deepEqual(recording.values(), [2, 12]);
});

test('a filter on the root, and stored generated columns', async (t) => {
  const source = await withTable(t, 'id int primary key', { publish: false });
  await sql(`drop table ${source.quoted}; create table ${source.quoted} (id int primary key, n int, twice int generated always as (n * 2) stored)
    partition by range (id); create table ${source.name}_a partition of ${source.quoted} for values from (0) to (10);
    grant select on ${source.quoted} to anon`);
  await publishRoot(t, source);
  const recording = await subscribe(await makeClient(t), table(source, { filter: 'n=eq.2' }));
  await sql(`insert into ${source.quoted} values (1, 1), (2, 2)`);
  await recording.count(1);
  assert.deepEqual(recording.events[0].new, { id: 2, n: 2, twice: 4 });
});
