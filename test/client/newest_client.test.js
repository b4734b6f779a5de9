'use strict';
// What only the newest supabase-js asks for: broadcasts that are stored, and joins that wait for postgres_changes.
const test = require('node:test');
const assert = require('node:assert/strict');
const env = require('./lib/env');
const { makeClient, newTopic, watch, table, kNewest } = require('./lib/clients');
const { RawClient } = require('./lib/raw');
const { Room, enter } = require('./lib/room');
const { withPolicies, mayRead, mayWrite } = require('./lib/policies');
const { pushFrame } = require('./lib/binary');
const { rows, sql, withTable } = require('./lib/sql');
const { userToken } = require('./lib/token');

const kAnn = 'aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa';

const newest = (t, options = {}) => makeClient(t, { library: kNewest, ...options });
const trusted = (t) => newest(t, { key: env.serviceKey });
const config = (extra = {}) => ({ config: { private: true, broadcast: { ack: true }, ...extra } });
const inside = async (t, topic, extra) => enter(await trusted(t), topic, config(extra));

const storedIn = (topic) => rows(`select id, event, payload, binary_payload, private, extension,
  extract(epoch from expires_at - inserted_at)::float8 as ttl from realtime.messages where topic = $1 order by event`, [topic]);

test('send() with persist is delivered at once, with its id, and stored', async (t) => {
  const topic = newTopic();
  const receiver = await inside(t, topic);
  const sender = await inside(t, topic);
  assert.equal(await sender.send('kept', { n: 1 }, { persist: true }), 'ok');
  assert.equal(await sender.send('short', { n: 2 }, { persist: { ttl: 60 } }), 'ok');
  assert.equal(await sender.send('plain', { n: 3 }), 'ok');
  await receiver.broadcast('plain');
  const stored = await storedIn(topic);
  assert.deepEqual(stored.map(({ event, payload, extension, private: isPrivate }) => [event, payload, extension, isPrivate]),
    [['kept', { n: 1 }, 'broadcast', true], ['short', { n: 2 }, 'broadcast', true]]);
  assert.equal(stored[0].ttl, null);
  assert.ok(Math.abs(stored[1].ttl - 60) < 5, `ttl ${stored[1].ttl}`);
  assert.deepEqual(receiver.broadcasts, [
    { type: 'broadcast', event: 'kept', payload: { n: 1 }, meta: { id: stored[0].id } },
    { type: 'broadcast', event: 'short', payload: { n: 2 }, meta: { id: stored[1].id } },
    { type: 'broadcast', event: 'plain', payload: { n: 3 } },
  ]);
});

test('a message that was stored by send() comes once: not again from the database', async (t) => {
  const topic = newTopic();
  const receiver = await inside(t, topic);
  const sender = await inside(t, topic, { broadcast: { ack: true, self: true } });
  for (let n = 0; n < 5; n += 1) assert.equal(await sender.send(`s${n}`, {}, { persist: true }), 'ok');
  await sql("select realtime.send('{}', 'end', $1)", [topic]);
  for (const room of [receiver, sender]) {
    await room.broadcast('end');
    assert.deepEqual(room.broadcasts.map(({ event }) => event), ['s0', 's1', 's2', 's3', 's4', 'end']);
  }
});

test('a stored message is replayed to who comes later', async (t) => {
  const topic = newTopic();
  const sender = await inside(t, topic);
  assert.equal(await sender.send('json', { n: 1 }, { persist: true }), 'ok');
  assert.equal(await sender.send('bytes', Uint8Array.from([1, 2, 255]).buffer, { persist: true }), 'ok');
  await sender.send('plain', {});
  const late = await inside(t, topic, { broadcast: { replay: { since: Date.now() - 600000, limit: 10 } } });
  await late.count(2);
  assert.deepEqual(late.broadcasts.map(({ event, meta }) => [event, meta.replayed]), [['json', true], ['bytes', true]]);
  assert.deepEqual(late.broadcasts[0].payload, { n: 1 });
  assert.deepEqual(Buffer.from(late.broadcasts[1].payload), Buffer.from([1, 2, 255]));
  const [bytes] = await storedIn(topic);
  assert.deepEqual(bytes.binary_payload, Buffer.from([1, 2, 255]));
});

test('stored and plain messages of one sender keep their order', async (t) => {
  const topic = newTopic();
  const receiver = await inside(t, topic);
  const sender = await inside(t, topic);
  const outcomes = await Promise.all(Array.from({ length: 40 }, (_, n) => sender.send('n', { n }, n % 3 === 0 ? { persist: true } : {})));
  assert.deepEqual([...new Set(outcomes)], ['ok']);
  await receiver.count(40);
  assert.deepEqual(receiver.broadcasts.map(({ payload }) => payload.n), Array.from({ length: 40 }, (_, n) => n));
});

test('httpSend() with persist: JSON and bytes, with and without ttl', async (t) => {
  const topic = newTopic();
  const receiver = await inside(t, topic);
  const channel = (await trusted(t)).channel(topic, { config: { private: true } });
  assert.deepEqual(await channel.httpSend('a', { n: 1 }, { persist: true }), { success: true });
  assert.deepEqual(await channel.httpSend('b', Uint8Array.from([9]), { persist: { ttl: 3600 } }), { success: true });
  assert.deepEqual(await channel.httpSend('c', { n: 3 }), { success: true });
  await receiver.broadcast('c');
  const stored = await storedIn(topic);
  assert.deepEqual(stored.map(({ event, payload }) => [event, payload]), [['a', { n: 1 }], ['b', null]]);
  assert.deepEqual(stored[1].binary_payload, Buffer.from([9]));
  assert.ok(Math.abs(stored[1].ttl - 3600) < 5, `ttl ${stored[1].ttl}`);
  assert.deepEqual(receiver.broadcasts.map(({ event, meta }) => [event, meta]),
    [['a', { id: stored[0].id }], ['b', { id: stored[1].id }], ['c', undefined]]);
});

test('to store needs the right to write: send() resolves with the reason, httpSend() rejects, nothing is kept', async (t) => {
  const topic = newTopic();
  await withPolicies(t, mayRead(topic));
  const room = await enter(await newest(t, { token: userToken(kAnn) }), topic, config());
  const outcome = await room.send('e', {}, { persist: true });
  assert.match(outcome, /permission|Unauthorized/i);
  await assert.rejects(room.channel.httpSend('e', {}, { persist: true }), { message: 'Unauthorized' });
  assert.deepEqual(await storedIn(topic), []);
  assert.deepEqual(room.statuses, ['SUBSCRIBED']);
});

test('each sender\'s own policies decide what it may store', async (t) => {
  const topic = newTopic();
  await withPolicies(t, mayRead(topic, "extension = 'broadcast'"), mayWrite(topic, `extension = 'broadcast' and auth.uid() = '${kAnn}'`));
  const ann = await enter(await newest(t, { token: userToken(kAnn) }), topic, config());
  const bob = await enter(await newest(t, { token: userToken('bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb') }), topic, config());
  assert.equal(await ann.send('from ann', {}, { persist: true }), 'ok');
  assert.notEqual(await bob.send('from bob', {}, { persist: true }), 'ok');
  assert.deepEqual((await storedIn(topic)).map(({ event }) => event), ['from ann']);
  await bob.broadcast('from ann');
});

test('what cannot be stored is refused, not sent: a public channel, a broken ttl', async (t) => {
  const topic = `realtime:${newTopic()}`;
  const client = await RawClient.open(t, { key: env.serviceKey });
  const refusal = async (isPrivate, metadata) => {
    const { join_ref } = await client.join(topic, { config: { private: isPrivate, broadcast: { ack: true, self: true } } });
    client.socket.send(pushFrame({ join_ref, ref: 'r', topic, event: 'e', metadata, payload: '{}' }));
    return (await client.reply('r')).payload;
  };
  const open = await refusal(false, '{"persist":true}');
  assert.deepEqual([open.status, typeof open.response.error], ['error', 'string']);
  for (const ttl of ['0', '-1', '"x"', '1.5', 'null']) {
    const broken = await refusal(true, `{"persist":{"ttl":${ttl}}}`);
    assert.deepEqual([broken.status, typeof broken.response.error], ['error', 'string'], `ttl ${ttl}`);
  }
  assert.equal((await refusal(true, '{"persist":false}')).status, 'ok');
  assert.equal(client.frames.filter((frame) => frame.binary).length, 1, 'only the last was sent');
});

test('postgres_changes_options.wait: SUBSCRIBED means live', async (t) => {
  const source = await withTable(t, 'id int primary key');
  const client = await newest(t);
  const recording = watch(client, [table(source)], { config: { postgres_changes_options: { wait: true } } });
  await recording.status('SUBSCRIBED');
  await sql(`insert into ${source.quoted} values (1)`);
  await recording.count(1);
  assert.deepEqual(recording.values(), [1]);
});

test('postgres_changes_options.wait: what cannot be served is an error of the join, without it a system message', async (t) => {
  const bindings = [{ event: '*', schema: 'public', table: 'there_is_no_such_table' }];
  const client = await newest(t);
  const waiting = watch(client, bindings, { config: { postgres_changes_options: { wait: true, timeout: 3000 } } });
  await waiting.status('CHANNEL_ERROR');
  assert.match(waiting.errors[0].message, /^RealtimeDisabledForConfiguration: .*there_is_no_such_table/);
  assert.ok(!waiting.statuses.includes('SUBSCRIBED'));
  const easy = watch(client, bindings);
  await easy.status('SUBSCRIBED');
  assert.match((await easy.system('error')).message, /there_is_no_such_table/);
});

test('postgres_changes_options without bindings changes nothing', async (t) => {
  const room = new Room(await newest(t), newTopic(), { config: { postgres_changes_options: { wait: true, timeout: 1 } } });
  await room.status('SUBSCRIBED');
});

test('the newest client in a room with the older ones', async (t) => {
  const topic = newTopic();
  const rooms = [];
  for (const options of [{ library: kNewest }, { vsn: '2.0.0' }, { vsn: '1.0.0' }]) {
    rooms.push(await enter(await makeClient(t, options), topic, { config: { presence: { key: `k${rooms.length}` } }, presence: true }));
  }
  for (const [i, room] of rooms.entries()) {
    await room.channel.track({ i });
    await room.send(`from ${i}`, { i });
  }
  for (const [i, room] of rooms.entries()) {
    await room.becomes({ k0: [{ i: 0 }], k1: [{ i: 1 }], k2: [{ i: 2 }] });
    for (const other of [0, 1, 2].filter((each) => each !== i)) {
      assert.deepEqual((await room.broadcast(`from ${other}`)).payload, { i: other });
    }
  }
});
