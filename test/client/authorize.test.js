'use strict';
// Who may subscribe to what: table and column privileges, private channels, and the `system` errors of bindings that cannot
// be served.
const test = require('node:test');
const assert = require('node:assert/strict');
const env = require('./lib/env');
const { withTable, withRole, withSchema, sql, uniqueName } = require('./lib/sql');
const { makeClient, subscribe, watch, table, newTopic, kVersions } = require('./lib/clients');
const { RawClient } = require('./lib/raw');
const { makeToken, userToken } = require('./lib/token');
const { waitFor } = require('./lib/wait');

const kUser = '33333333-3333-4333-8333-333333333333';
const kKeys = { anon: () => env.anonKey, service_role: () => env.serviceKey, authenticated: () => userToken(kUser) };

for (const vsn of kVersions) {
  for (const [role, key] of Object.entries(kKeys)) {
    test(`test_authorize_subscription_allowed: ${role}, vsn ${vsn}`, async (t) => {
      const source = await withTable(t, 'id int primary key', { grant: role });
      const client = await makeClient(t, { vsn, token: key() });
      const recording = await subscribe(client, table(source));
      await sql(`insert into ${source.quoted} values (1)`);
      await recording.count(1);
      assert.deepEqual(recording.events[0].new, { id: 1 });
      assert.deepEqual(recording.statuses, ['SUBSCRIBED']);
    });

    test(`test_authorize_subscription_denied: ${role} without SELECT, vsn ${vsn}`, async (t) => {
      const others = Object.keys(kKeys).filter((name) => name !== role).join(', ');
      const source = await withTable(t, 'id int primary key', { grant: others });
      await sql(`grant insert, update, delete on ${source.quoted} to ${role}`);
      const client = await makeClient(t, { vsn, token: key() });
      const recording = watch(client, table(source));
      await recording.status('CHANNEL_ERROR');
      assert.match(recording.errors[0].message, new RegExp(source.name));
      assert.ok(!recording.statuses.includes('SUBSCRIBED'));
    });
  }
}

test('test_authorize_subscription_allowed: SELECT through membership, through PUBLIC, or on one column only', async (t) => {
  const parent = await withRole(t);
  const child = await withRole(t, `nologin in role ${parent}`);
  const viaParent = await withTable(t, 'id int primary key', { grant: parent });
  const viaPublic = await withTable(t, 'id int primary key', { grant: 'public' });
  const oneColumn = await withTable(t, 'id int primary key, secret text', { grant: null });
  await sql(`grant select (id) on ${oneColumn.quoted} to ${child}`);
  const client = await makeClient(t, { token: makeToken({ role: child }) });
  for (const source of [viaParent, viaPublic, oneColumn]) {
    const recording = await subscribe(client, table(source));
    await sql(`insert into ${source.quoted} (id) values (1)`);
    await recording.count(1);
    assert.deepEqual(recording.events[0].new, { id: 1 });
  }
});

test('test_authorize_subscription_denied: a role that does not exist', async (t) => {
  const source = await withTable(t, 'id int primary key', { grant: 'public' });
  const role = uniqueName('no_such_');
  const client = await makeClient(t, { token: makeToken({ role }) });
  const recording = watch(client, table(source));
  const refusal = () => recording.errors[0]?.message || recording.systems.find((s) => s.status === 'error')?.message;
  assert.match(await waitFor(refusal, () => `a refusal; saw ${recording.describe()}`), new RegExp(role));
  const witness = await subscribe(await makeClient(t), table(source));
  await sql(`insert into ${source.quoted} values (1)`);
  await witness.count(1);
  assert.equal(recording.events.length, 0);
  assert.ok(!recording.systems.some((system) => system.status === 'ok'));
});

for (const vsn of kVersions) {
  test(`test_authorize_subscription_denied: private channel without policy, vsn ${vsn}`, async (t) => {
    const topic = newTopic('private');
    const client = await makeClient(t, { vsn });
    const recording = watch(client, [], { topic, config: { private: true } });
    await recording.status('CHANNEL_ERROR');
    // The older client puts the reason between quotation marks.
    assert.equal(recording.errors[0].message.replace(/^"|"$/g, ''),
      `Unauthorized: You do not have permissions to read from this Channel topic: ${topic}`);
  });
}

test('test_authorize_subscription_denied: one named table without SELECT refuses the whole join', async (t) => {
  const open = await withTable(t, 'id int primary key');
  const closed = await withTable(t, 'id int primary key', { grant: 'service_role' });
  const client = await makeClient(t);
  const recording = watch(client, [table(open), table(closed)]);
  await recording.status('CHANNEL_ERROR');
  assert.match(recording.errors[0].message, new RegExp(closed.name));
  const alone = await subscribe(client, table(open));
  await sql(`insert into ${open.quoted} values (1)`);
  await alone.count(1);
  assert.equal(recording.events.length, 0);
});

test('a wildcard covers the readable tables only, and none readable is refused', async (t) => {
  const schema = await withSchema(t);
  const open = await withTable(t, 'id int primary key', { schema });
  const closed = await withTable(t, 'id int primary key', { schema, grant: 'service_role' });
  const recording = await subscribe(await makeClient(t), { event: '*', schema, table: '*' });
  await sql(`insert into ${closed.quoted} values (1)`);
  await sql(`insert into ${open.quoted} values (2)`);
  await recording.event((event) => event.new.id === 2);
  assert.deepEqual(recording.events.map((event) => event.table), [open.name]);
  await sql(`revoke select on ${open.quoted} from anon`);
  const refused = watch(await makeClient(t), { event: '*', schema, table: '*' });
  await refused.status('CHANNEL_ERROR');
});

test('columns without SELECT are left out of columns, record and old_record', async (t) => {
  const source = await withTable(t, 'id int primary key, open text, secret text', { grant: 'service_role', full: true });
  await sql(`grant select (id, open) on ${source.quoted} to anon`);
  const client = await RawClient.open(t);
  await client.listen('realtime:columns', [table(source)]);
  const service = await subscribe(await makeClient(t, { token: env.serviceKey }), table(source));
  await sql(`insert into ${source.quoted} values (1, 'a', 'hidden')`);
  await sql(`update ${source.quoted} set open = 'b', secret = 'hidden too'`);
  await sql(`delete from ${source.quoted}`);
  const seen = [await client.change(), await client.change(), await client.change()].map((frame) => frame.payload.data);
  for (const { columns } of seen) assert.deepEqual(columns.map(({ name }) => name), ['id', 'open']);
  assert.deepEqual(seen[0].record, { id: 1, open: 'a' });
  assert.deepEqual([seen[1].record, seen[1].old_record], [{ id: 1, open: 'b' }, { id: 1, open: 'a' }]);
  assert.deepEqual(seen[2].old_record, { id: 1, open: 'b' });
  assert.ok(!client.frames.some((frame) => frame.text.includes('hidden')));
  await service.count(3);
  assert.equal(service.events[1].old.secret, 'hidden');
});

test('a filter on a column without SELECT is refused as if the column did not exist', async (t) => {
  const source = await withTable(t, 'id int primary key, secret int', { grant: 'service_role' });
  await sql(`grant select (id) on ${source.quoted} to anon`);
  const recording = watch(await makeClient(t), table(source, { filter: 'secret=eq.1' }));
  const system = await recording.system('error');
  assert.match(system.message, /Exception: ERROR P0001 \(raise_exception\) invalid column for filter secret$/);
});

test('an unreadable key column yields 401 events without row data', async (t) => {
  const source = await withTable(t, 'id int primary key, open text', { grant: 'service_role' });
  await sql(`grant select (open) on ${source.quoted} to anon`);
  const recording = await subscribe(await makeClient(t), table(source));
  await sql(`insert into ${source.quoted} values (1, 'x')`);
  await recording.count(1);
  assert.deepEqual(recording.events[0].errors, ['Error 401: Unauthorized']);
  assert.deepEqual(recording.events[0].new, {});
});

test('changes without row data after SELECT was revoked, and rows again once it is granted', async (t) => {
  const source = await withTable(t, 'id int primary key');
  const recording = await subscribe(await makeClient(t), table(source));
  await sql(`insert into ${source.quoted} values (1)`);
  await recording.count(1);
  await sql(`revoke select on ${source.quoted} from anon`);
  await sql(`insert into ${source.quoted} values (2)`);
  await recording.count(2);
  assert.deepEqual(recording.events[1].errors, ['Error 401: Unauthorized']);
  assert.deepEqual(recording.events[1].new, {});
  await sql(`grant select on ${source.quoted} to anon`);
  await sql(`insert into ${source.quoted} values (3)`);
  await recording.event((event) => event.new.id === 3);
  assert.equal(recording.events.length, 3);
});

// ---- bindings that cannot be served: the join succeeds, `system` says why

const kCheck = 'Unable to subscribe to changes with given parameters. Please check Realtime is enabled for the given connect parameters: ';
const kBroken = 'Unable to subscribe to changes with given parameters. An exception happened so please check your connect parameters: ';
const params = (source, filters = '[]', event = '*') =>
  `[event: ${event}, schema: ${source.schema}, table: ${source.name}, filters: ${filters}, select: nil]`;

async function systemError(t, binding) {
  const recording = watch(await makeClient(t), binding);
  await recording.status('SUBSCRIBED');
  const system = await recording.system('error');
  assert.ok(!recording.systems.some((s) => s.status === 'ok'));
  return system.message;
}

test('missing table, unpublished table, view: system error with the exact text', async (t) => {
  const missing = { schema: 'public', name: uniqueName('missing_') };
  assert.equal(await systemError(t, table(missing, { event: 'INSERT' })), kCheck + params(missing, '[]', 'INSERT'));
  const unpublished = await withTable(t, 'id int primary key', { publish: false });
  assert.equal(await systemError(t, table(unpublished)), kCheck + params(unpublished));
  const view = { schema: 'public', name: `${unpublished.name}_view` };
  await sql(`create view ${view.name} as select 1 as id from ${unpublished.quoted}; grant select on ${view.name} to anon`);
  assert.equal(await systemError(t, table(view)), kCheck + params(view));
});

const kBadFilters = [
  ['an unknown column', 'nothing=eq.1', '[{"nothing", "eq", "1", false}]', 'ERROR P0001 (raise_exception) invalid column for filter nothing'],
  ['a value that is no integer', 'id=eq.hey', '[{"id", "eq", "hey", false}]',
    'ERROR 22P02 (invalid_text_representation) invalid input syntax for type integer: "hey"'],
  ['a value that is no uuid', 'u=eq.1', '[{"u", "eq", "1", false}]',
    'ERROR 22P02 (invalid_text_representation) invalid input syntax for type uuid: "1"'],
];
for (const [what, filter, rendered, exception] of kBadFilters) {
  test(`bad filter: ${what}`, async (t) => {
    const source = await withTable(t, 'id int primary key, u uuid');
    assert.equal(await systemError(t, table(source, { filter })), `${kBroken}${params(source, rendered)}. Exception: ${exception}`);
  });
}

const kUnparsed = [
  ['an unknown operator', 'id=foo.hey', 'Error parsing `filter` params: ["foo", "hey"]'],
  ['no operator', 'undefined', 'Error parsing `filter` params: ["undefined"]'],
  ['an empty segment', 'id=eq.1,,id=eq.2', 'Error parsing `filter` params: filter must not contain empty segments (check for extra commas)'],
  ['in without parentheses', 'id=in.1,2', 'Error parsing `filter` params: `in` filter value must be wrapped by parentheses'],
];
for (const [what, filter, message] of kUnparsed) {
  test(`filter that cannot be parsed: ${what}`, async (t) => {
    const source = await withTable(t, 'id int primary key');
    assert.equal(await systemError(t, table(source, { filter })), message);
  });
}

test('too many values for in, and neither schema nor table', async (t) => {
  const source = await withTable(t, 'id int primary key');
  const list = (n) => `id=in.(${Array.from({ length: n }, (_, i) => i).join(',')})`;
  assert.match(await systemError(t, table(source, { filter: list(101) })), /too many values for `in` filter\. Maximum 100$/);
  await subscribe(await makeClient(t), table(source, { filter: list(100) }));
  assert.match(await systemError(t, { event: '*' }),
    /^No subscription params provided\. Please provide at least a `schema` or `table` to subscribe to: /);
});

test('one bad binding disables all of the channel, which stays open', async (t) => {
  const source = await withTable(t, 'id int primary key');
  const client = await makeClient(t);
  const recording = watch(client, [table(source), table(source, { filter: 'id=eq.hey' })]);
  await recording.system('error');
  const witness = await subscribe(client, table(source));
  await sql(`insert into ${source.quoted} values (1)`);
  await witness.count(1);
  assert.equal(recording.events.length, 0);
  assert.deepEqual(recording.statuses, ['SUBSCRIBED']);
});
