'use strict';
// The views of what is connected, joined and subscribed, and realtime.disconnect(). Others may use the server meanwhile: every
// test looks at its own clients.
const test = require('node:test');
const assert = require('node:assert/strict');
const env = require('./lib/env');
const { withTable, withRole, rows, sql, connect } = require('./lib/sql');
const { makeClient, subscribe, table, newTopic } = require('./lib/clients');
const { enter } = require('./lib/room');
const { userToken } = require('./lib/token');
const { RawClient } = require('./lib/raw');
const { waitFor } = require('./lib/wait');

const kAnn = '99999999-9999-4999-8999-999999999999';

// The one row of a view that satisfies `condition`.
async function rowWhere(view, text, values, condition = () => true) {
  let found = [];
  return waitFor(async () => {
    found = await rows(`select * from realtime.${view} where ${text}`, values);
    return found.length === 1 && condition(found[0]) && found[0];
  }, () => `one row of ${view} where ${text} (${values}); found ${JSON.stringify(found)}`);
}
const subscriptionOf = (source, condition) => rowWhere('stat_subscriptions', 'table_name = $1', [source.name], condition);

test('stat_channels: members, who is present, and messages', async (t) => {
  const topic = newTopic('watched');
  const first = await enter(await makeClient(t), topic, { presence: true });
  const second = await enter(await makeClient(t, { vsn: '1.0.0' }), topic);
  await first.channel.track({ n: 1 });
  for (const event of ['a', 'b', 'c']) await first.send(event, { text: event });
  await second.count(3);
  const row = await rowWhere('stat_channels', 'topic = $1', [topic], (each) => each.presences === '1');
  assert.deepEqual(row, { topic, private: false, clients: '2', presences: '1', broadcasts: '3', deliveries: '3' });
  await second.channel.unsubscribe();
  await rowWhere('stat_channels', 'topic = $1', [topic], (each) => each.clients === '1');
  await first.channel.unsubscribe();
  await waitFor(async () => (await rows('select from realtime.stat_channels where topic = $1', [topic])).length === 0, 'no channel');
});

test('stat_channels: a topic with NUL or thousands of bytes breaks nothing', async (t) => {
  const client = await makeClient(t);
  const long = `${newTopic('ä')}${'ä'.repeat(2000)}`;
  await enter(client, long);
  const nul = `${newTopic('nul')}\u0000end`;
  await enter(client, nul);
  await rowWhere('stat_channels', 'topic = $1', [nul.replace('\u0000', '?')]);
  const row = await rowWhere('stat_channels', 'length(topic) > 200 and starts_with($1, topic)', [long]);
  assert.ok(Buffer.byteLength(row.topic) <= 512);
});

test('stat_connections and stat_subscriptions: one client, and no secret of it', async (t) => {
  const source = await withTable(t, 'id int primary key');
  const token = userToken(kAnn);
  const before = Date.now();
  const recording = await subscribe(await makeClient(t, { token }), table(source, { event: 'INSERT', filter: 'id=gt.5' }));
  const { connection_id: id } = await subscriptionOf(source);
  const connection = await rowWhere('stat_connections', 'connection_id = $1', [id]);
  assert.equal(connection.role, 'authenticated');
  assert.equal(connection.protocol, '2.0.0');
  assert.equal(connection.channels, '1');
  assert.equal(connection.queue_bytes, '0');
  assert.match(connection.address, /^(127\.0\.0\.1|::1)$/);
  assert.ok(Number(connection.bytes_in) > 100 && Number(connection.bytes_out) > 100, JSON.stringify(connection));
  assert.ok(Math.abs(connection.connected_at - before) < 60000);
  const exp = JSON.parse(Buffer.from(token.split('.')[1], 'base64url')).exp;
  assert.equal(connection.token_expires_at.getTime(), exp * 1000);
  const everything = JSON.stringify(await rows('select * from realtime.stat_connections c, realtime.stat_subscriptions s'));
  for (const secret of [env.anonKey, token, kAnn]) assert.ok(!everything.includes(secret));

  await sql(`insert into ${source.quoted} select generate_series(1, 10)`);
  await recording.count(5);
  const after = await subscriptionOf(source, (row) => row.matched === '5');
  assert.deepEqual(after, {
    connection_id: id, channel: recording.channel.topic.replace(/^realtime:/, ''), role: 'authenticated', schema_name: source.schema,
    table_name: source.name, filter: 'id=gt.5', events: 'INSERT', matched: '5', delivered: '5', errors: '0',
  });
  assert.ok(Number((await rowWhere('stat_connections', 'connection_id = $1', [id])).bytes_out) > Number(connection.bytes_out));
  await recording.channel.unsubscribe();
  await waitFor(async () => (await rows('select from realtime.stat_subscriptions where table_name = $1', [source.name])).length === 0,
    'no subscription');
});

test('stat_connections: version 1.0.0, a name that the client gives itself, and the close code', async (t) => {
  const client = await RawClient.open(t, { vsn: '1.0.0', headers: { 'x-client-info': 'watched-client/1 "quoted\\' } });
  const row = await rowWhere('stat_connections', "client = E'watched-client/1 \"quoted\\\\'", []);
  assert.deepEqual([row.protocol, row.role, row.channels], ['1.0.0', 'anon', '0']);
  assert.equal((await rows('select realtime.disconnect($1) done', [row.connection_id]))[0].done, true);
  await waitFor(() => client.closed, 'the close');
  assert.deepEqual(client.closed, { code: 1012, reason: "administrator's request" });
});

test('stat_subscriptions: a policy that raises is counted where it hits', async (t) => {
  const source = await withTable(t, 'id int primary key', { rls: ['for select using (1 / (id - 1) >= -1)'] });
  const recording = await subscribe(await makeClient(t, { token: userToken(kAnn) }), table(source));
  await sql(`insert into ${source.quoted} values (1), (2)`);
  await recording.count(2);
  const row = await subscriptionOf(source, (each) => each.errors === '1');
  assert.deepEqual([row.matched, row.errors, row.delivered, row.filter, row.events], ['1', '1', '2', null, '*']);
});

test('disconnect: the client hears why, and nobody else does', async (t) => {
  const source = await withTable(t, 'id int primary key');
  const topic = newTopic('kicked');
  const victim = await makeClient(t, { realtime: { reconnectAfterMs: () => 3600000 } });
  const other = await enter(await makeClient(t), topic);
  const recording = await subscribe(victim, table(source));
  const { connection_id: id } = await subscriptionOf(source);
  assert.deepEqual(await rows('select realtime.disconnect($1) done', [id]), [{ done: true }]);
  await waitFor(() => recording.systems.some((each) => each.message === 'Server requested disconnect'), () => recording.describe());
  await waitFor(() => !victim.realtime.isConnected(), 'the connection to end');
  await waitFor(async () => (await rows('select from realtime.stat_connections where connection_id = $1', [id])).length === 0, 'it to be gone');
  assert.deepEqual(await rows('select realtime.disconnect($1) done, realtime.disconnect(-1) none', [id]), [{ done: false, none: false }]);
  assert.deepEqual(other.systems.filter((each) => each.status !== 'ok'), []);
  assert.equal(other.channel.state, 'joined');
});

test('many readings at once all get an answer', async (t) => {
  const topic = newTopic('busy');
  await enter(await makeClient(t), topic);
  const readers = await Promise.all(Array.from({ length: 8 }, () => connect(t)));
  const views = ['stat_channels', 'stat_connections', 'stat_subscriptions'];
  const counts = await Promise.all(readers.map(async (reader, i) => {
    let rowsSeen = 0;
    for (let round = 0; round < 10; round++) rowsSeen += (await reader.query(`select * from realtime.${views[i % 3]}`)).rows.length;
    return rowsSeen;
  }));
  counts.forEach((count, i) => assert.ok(i % 3 === 2 || count >= 10, `${counts}`));
});

test('who may read, and who may disconnect', async (t) => {
  const nobody = await withRole(t);
  const reader = await connect(t);
  await reader.query(`set role ${nobody}`);
  await assert.rejects(reader.query('select realtime.disconnect(1)'), /permission denied for function disconnect/);
  await reader.query(`reset role; grant pg_monitor, pg_signal_backend to ${nobody}; set role ${nobody}`);
  for (const view of ['stat_channels', 'stat_connections', 'stat_subscriptions']) await reader.query(`select * from realtime.${view}`);
  assert.deepEqual((await reader.query('select realtime.disconnect(0) done')).rows, [{ done: false }]);
});
