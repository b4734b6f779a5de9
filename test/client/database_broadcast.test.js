'use strict';
// Broadcasts that the database sends: realtime.send() and its kin, triggers, and every row inserted into realtime.messages.
const test = require('node:test');
const assert = require('node:assert/strict');
const { cleanup } = require('./lib/cleanup');
const { makeClient, subscribe, table, newTopic, kVersions } = require('./lib/clients');
const { enter } = require('./lib/room');
const { RawClient } = require('./lib/raw');
const { pushFrame, readDelivered } = require('./lib/binary');
const { connect, rows, sql, one, uniqueName, withTable } = require('./lib/sql');
const { Log } = require('./lib/log');
const { userToken } = require('./lib/token');
const { waitFor } = require('./lib/wait');
const env = require('./lib/env');

const kAnn = '88888888-8888-4888-8888-888888888888';
const kUuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const kReady = { broadcast: { replication_ready: true } };
const kEstablished = 'Replication connection established';

// A policy on realtime.messages for these users' one topic.
async function allow(t, topic, command = 'select') {
  const name = uniqueName('p_');
  const condition = `(realtime.topic() = '${topic}')`;
  cleanup(t, () => sql(`drop policy if exists ${name} on realtime.messages`));
  await sql(`create policy ${name} on realtime.messages for ${command} to authenticated
             ${command === 'insert' ? 'with check' : 'using'} ${condition}`);
}

// A real client in a public room, from the moment on at which the database's messages arrive.
async function publicRoom(t, topic, options = {}) {
  const room = await enter(await makeClient(t, options), topic, { config: kReady });
  await room.ready();
  return room;
}

// The private one needs no notice: SUBSCRIBED says as much there.
async function privateRoom(t, topic, options = {}) {
  await allow(t, topic);
  return enter(await makeClient(t, { token: userToken(kAnn), ...options }), topic, { config: { private: true } });
}

const send = (topic, event, payload = {}, isPrivate = false) =>
  sql('select realtime.send($1::jsonb, $2, $3, $4)', [JSON.stringify(payload), event, topic, isPrivate]);

const events = (room) => room.broadcasts.map((message) => message.event);

for (const vsn of kVersions) {
  test(`realtime.send() reaches a public room, protocol ${vsn}`, async (t) => {
    const topic = newTopic('sql');
    const room = await publicRoom(t, topic, { vsn });
    await send(topic, 'moved', { x: 1, nested: { list: [1, 'ü', null] } });
    const message = await room.broadcast('moved');
    const { id, ...payload } = message.payload;
    assert.deepEqual(payload, { x: 1, nested: { list: [1, 'ü', null] } });
    assert.equal(message.type, 'broadcast');
    assert.match(message.meta.id, kUuid);
    assert.equal(id, message.meta.id);
    assert.deepEqual(await rows('select event, extension, private from realtime.messages where id = $1', [id]),
      [{ event: 'moved', extension: 'broadcast', private: false }]);
  });

  test(`realtime.send() reaches a private room, protocol ${vsn}`, async (t) => {
    const topic = newTopic('sql');
    const room = await privateRoom(t, topic, { vsn });
    await send(topic, 'moved', { id: 'mine' }, true);
    const message = await room.broadcast('moved');
    assert.deepEqual(message.payload, { id: 'mine' });
    assert.match(message.meta.id, kUuid);
  });
}

test('the public and the private room of one name, and other rooms, are apart', async (t) => {
  const topic = newTopic('sql');
  const secret = await privateRoom(t, topic);
  const open = await publicRoom(t, topic);
  const other = await publicRoom(t, `${topic}-other`);
  await send(topic, 'secret', {}, true);
  await send(topic, 'open');
  await send(`${topic}-other`, 'elsewhere');
  for (const [room, event] of [[secret, 'secret'], [open, 'open'], [other, 'elsewhere']]) await room.broadcast(event);
  await send(topic, 'end', {}, true);
  await send(topic, 'end');
  for (const room of [secret, open]) await room.broadcast('end');
  assert.deepEqual([events(secret), events(open), events(other)], [['secret', 'end'], ['open', 'end'], ['elsewhere']]);
});

test('realtime.send_binary() arrives byte for byte; a client of version 1.0.0 gets what it can represent', async (t) => {
  const topic = newTopic('sql');
  const bytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
  const raw = await RawClient.open(t);
  await raw.join(`realtime:${topic}`, { config: kReady });
  await raw.next((frame) => frame.payload?.message === kEstablished, 'the notice');
  const old = await publicRoom(t, topic, { vsn: '1.0.0' });
  await sql('select realtime.send_binary($1, $2, $3, false)', [bytes, 'blob', topic]);
  const frame = readDelivered((await raw.broadcast()).binary);
  assert.deepEqual([frame.topic, frame.event, frame.encoding], [`realtime:${topic}`, 'blob', 0]);
  assert.deepEqual(frame.payload, bytes);
  assert.match(JSON.parse(frame.metadata).id, kUuid);
  await send(topic, 'end');
  await old.broadcast('end');
  assert.deepEqual(events(old), ['end']);
});

test('realtime.broadcast_changes() in a trigger tells of each change', async (t) => {
  const topic = newTopic('sql');
  const room = await privateRoom(t, topic);
  const source = await withTable(t, 'id int primary key, note text', { publish: false });
  const name = uniqueName('f_');
  cleanup(t, () => sql(`drop function if exists public.${name} cascade`));
  await sql(`create function public.${name}() returns trigger language plpgsql as $$
    begin
      perform realtime.broadcast_changes('${topic}', tg_op, tg_op, tg_table_name, tg_table_schema, new, old);
      return null;
    end $$;
    create trigger tell after insert or update or delete on ${source.quoted} for each row execute function public.${name}()`);
  await sql(`insert into ${source.quoted} values (1, 'a')`);
  await sql(`update ${source.quoted} set note = 'b'`);
  await sql(`delete from ${source.quoted}`);
  await room.count(3);
  const seen = room.broadcasts.map(({ event, payload: { id, ...payload } }) => [event, payload]);
  const place = { table: source.name, schema: 'public' };
  assert.deepEqual(seen, [
    ['INSERT', { ...place, operation: 'INSERT', record: { id: 1, note: 'a' }, old_record: null }],
    ['UPDATE', { ...place, operation: 'UPDATE', record: { id: 1, note: 'b' }, old_record: { id: 1, note: 'a' } }],
    ['DELETE', { ...place, operation: 'DELETE', record: null, old_record: { id: 1, note: 'b' } }],
  ]);
});

test('a plain INSERT is a message when it has topic, event, flag and payload', async (t) => {
  const topic = newTopic('sql');
  const room = await publicRoom(t, topic);
  const insert = (columns, values) => sql(`insert into realtime.messages (topic, ${columns}) values ('${topic}', ${values})`);
  await insert('extension, private, payload', "'broadcast', false, '{}'");
  await insert('extension, private, event', "'broadcast', false, 'no payload'");
  await insert('extension, private, event, payload', "'broadcast', null, 'no flag', '{}'");
  await insert('extension, private, event, payload', "'presence', false, 'other extension', '[1, \"two\"]'");
  await insert('extension, event, payload', "'broadcast', 'flag by default', '7'");
  // The days before yesterday have no partition of their own.
  await insert('extension, private, event, payload, inserted_at', "'broadcast', false, 'long ago', '{}', now() - interval '2 days 12 hours'");
  await room.broadcast('long ago');
  assert.deepEqual(room.heard(), [['other extension', [1, 'two']], ['flag by default', 7], ['long ago', {}]]);
  const ids = room.broadcasts.map((message) => message.meta.id);
  const stored = (await rows('select id from realtime.messages where topic = $1 and event is not null and payload is not null and private is not null order by event desc', [topic]));
  assert.deepEqual(new Set(ids), new Set(stored.map((row) => row.id)));
});

test('messages come after commit, in the order of commits, and never from what was rolled back', async (t) => {
  const topic = newTopic('sql');
  const room = await publicRoom(t, topic);
  const [a, b] = [await connect(t), await connect(t)];
  const say = (session, event) => session.query("select realtime.send('{}', $1, $2, false)", [event, topic]);
  await a.query('begin');
  await say(a, 'a1');
  await b.query('begin');
  await say(b, 'b1');
  await say(a, 'a2');
  await send(topic, 'c');
  await room.broadcast('c');
  assert.deepEqual(events(room), ['c'], 'nothing of open transactions');
  await say(b, 'b2');
  await b.query('commit');
  await say(a, 'a3');
  await a.query('savepoint s');
  await say(a, 'undone');
  await a.query('rollback to s');
  await say(a, 'a4');
  await a.query('commit');
  await b.query('begin');
  await say(b, 'never');
  await b.query('rollback');
  await send(topic, 'end');
  await room.broadcast('end');
  assert.deepEqual(events(room), ['c', 'b1', 'b2', 'a1', 'a2', 'a3', 'a4', 'end']);
});

test('a transaction of 5,000 messages arrives whole and in order, between rows of a table', async (t) => {
  const topic = newTopic('sql');
  const room = await publicRoom(t, topic);
  const source = await withTable(t, 'id int primary key');
  const recording = await subscribe(await makeClient(t), table(source));
  await sql(`begin;
    insert into ${source.quoted} values (1);
    select realtime.send(jsonb_build_object('n', i), 'n', '${topic}', false) from generate_series(1, 5000) i;
    insert into ${source.quoted} values (2);
    commit`);
  await room.count(5000, 60000);
  await recording.count(2);
  assert.ok(room.broadcasts.every((message, i) => message.payload.n === i + 1), 'each once, in order');
  assert.deepEqual(recording.values(), [1, 2]);
});

test('a large payload arrives; one over realtime.max_payload_size does not, and the log says so', async (t) => {
  const topic = newTopic('sql');
  const room = await publicRoom(t, topic);
  const log = new Log();
  const text = 'x'.repeat(1000000);
  await send(topic, 'large', { text });
  assert.equal((await room.broadcast('large')).payload.text, text);
  await sql(`insert into realtime.messages (topic, extension, event, private, payload)
             values ($1, 'broadcast', 'too large', false, jsonb_build_object('text', repeat('x', 4000000)))`, [topic]);
  await send(topic, 'end');
  await room.broadcast('end');
  assert.deepEqual(events(room), ['large', 'end']);
  if (log.paths.length > 0) await log.line('UnableToBroadcastChanges: a row of realtime.messages is not delivered: its payload has');
});

test('replication_ready: the notice comes once per channel, with whatever is truthy', async (t) => {
  for (const [index, value] of [true, 'false', 1].entries()) {
    const topic = newTopic('ready');
    const raw = await RawClient.open(t, { vsn: kVersions[index % 2] });
    const reply = await raw.join(`realtime:${topic}`, { config: { broadcast: { replication_ready: value } } });
    assert.equal(reply.payload.status, 'ok');
    const { payload } = await raw.event('system');
    assert.deepEqual(payload, { extension: 'system', status: 'ok', message: kEstablished, channel: topic });
  }
  const raw = await RawClient.open(t);
  await raw.join('realtime:not-asked', { config: { broadcast: { replication_ready: false } } });
  await raw.heartbeat();
  assert.deepEqual(raw.frames.filter((frame) => frame.event === 'system'), []);
});

test('listeners to changes get no rows of realtime.messages, whatever they may read', async (t) => {
  const topic = newTopic('sql');
  const room = await publicRoom(t, topic);
  const source = await withTable(t, 'id int primary key');
  const service = await subscribe(await makeClient(t, { key: env.serviceKey }), { event: '*', schema: '*' });
  await send(topic, 'message');
  await sql('update realtime.messages set updated_at = now() where topic = $1', [topic]);
  await sql('delete from realtime.messages where topic = $1', [topic]);
  await room.broadcast('message');
  await sql(`insert into ${source.quoted} values (1)`);
  await service.event((event) => event.table === source.name, 'the row of the other table');
  assert.deepEqual(service.events.filter((event) => event.schema === 'realtime'), []);
});

test('a message that a client has stored arrives once', async (t) => {
  const topic = newTopic('sql');
  await allow(t, topic, 'insert');
  const room = await privateRoom(t, topic);
  const raw = await RawClient.open(t);
  const { join_ref } = await raw.join(`realtime:${topic}`, { config: { private: true, broadcast: { ack: true } }, token: userToken(kAnn) });
  const put = (event) => raw.socket.send(pushFrame({
    join_ref, ref: event, topic: `realtime:${topic}`, event, metadata: '{"persist":true}', payload: '{"by":"client"}',
  }));
  for (const event of ['one', 'two', 'three']) {
    put(event);
    assert.equal((await raw.reply(event)).payload.status, 'ok');
  }
  await send(topic, 'end', {}, true);
  await room.broadcast('end');
  assert.deepEqual(events(room), ['one', 'two', 'three', 'end']);
  assert.equal(await one("select count(*)::int from realtime.messages where topic = $1 and payload ->> 'by' = 'client'", [topic]), 3);
});

test('rooms hear nothing that was committed before they were there, and all that came after', async (t) => {
  const topic = newTopic('sql');
  // A message is on its way for a moment after its commit, and a public room is entered without asking the stream.
  const earlier = await publicRoom(t, topic);
  await send(topic, 'before');
  await earlier.broadcast('before');
  const room = await publicRoom(t, topic);
  for (let i = 0; i < 20; i += 1) await send(topic, `after-${i}`);
  await room.count(20);
  await send(topic, 'end');
  await waitFor(() => events(room).includes('end'), 'the last message');
  assert.equal(new Set(events(room)).size, 21);
  assert.equal(room.broadcasts.length, 21);
  assert.ok(!events(room).includes('before'));
});
