'use strict';
// One message, as members of both protocol versions get it, for every way that it can come in: clients' frames of all kinds,
// REST, the database, replay. Raw sockets show the exact frames, the real clients what an application makes of them.
const test = require('node:test');
const assert = require('node:assert/strict');
const env = require('./lib/env');
const { makeClient, newTopic, kVersions } = require('./lib/clients');
const { RawClient } = require('./lib/raw');
const { enter } = require('./lib/room');
const { pushFrame, deliveredFrame, readDelivered, kBytes } = require('./lib/binary');
const { postBatch, postSingle } = require('./lib/rest');
const { sql, rows } = require('./lib/sql');

const kJson = '{ "n": 1.50, "text":"\\u00e9 \u{1f388}" }';
const kValue = JSON.parse(kJson);
const kOctets = Buffer.from([0, 1, 0xfe, 0xff, 0x7b]);

// Members of a topic: raw and real, of both versions; the real ones first, so that nothing is missed.
class Members {
  static async join(t, { isPrivate = false } = {}) {
    const members = new Members();
    members.subtopic = newTopic();
    members.topic = `realtime:${members.subtopic}`;
    const key = isPrivate ? env.serviceKey : env.anonKey;
    const broadcast = { replication_ready: true };
    for (const vsn of kVersions) {
      const version = vsn === '2.0.0' ? 'two' : 'one';
      members[`room${version}`] = await enter(await makeClient(t, { vsn, key }), members.subtopic, { config: { private: isPrivate } });
      const raw = await RawClient.open(t, { vsn, key });
      assert.equal((await raw.join(members.topic, { config: { broadcast, private: isPrivate } })).payload.status, 'ok');
      members[version] = raw;
    }
    members.sender = async (vsn) => {
      const sender = await RawClient.open(t, { vsn, key });
      return Object.assign(sender, { join_ref: (await sender.join(members.topic, { config: { private: isPrivate } })).join_ref });
    };
    return members;
  }

  // Messages that are sent from SQL arrive from now on.
  async listening() {
    for (const raw of [this.two, this.one]) {
      const notice = await raw.event('system');
      assert.deepEqual([notice.payload.status, notice.payload.message], ['ok', 'Replication connection established']);
    }
  }

  // Everybody's next message is `wanted`: { frame } (binary) or { payload } for version 2; a payload, or nothing, for version 1.
  async hear({ two, one, application }) {
    const frame = await this.two.broadcast();
    if (two.frame) {
      assert.deepEqual(frame.binary, two.frame);
    } else {
      assert.deepEqual([frame.join_ref, frame.ref, frame.topic, frame.payload], [null, null, this.topic, two.payload], frame.text);
    }
    if (one) {
      const text = await this.one.broadcast();
      assert.deepEqual(JSON.parse(text.text), { event: 'broadcast', payload: one, ref: null, topic: this.topic });
    }
    for (const room of one ? [this.roomtwo, this.roomone] : [this.roomtwo]) {
      const message = await room.broadcast(application.event);
      const bytes = message.payload instanceof ArrayBuffer ? { payload: Buffer.from(message.payload) } : {};
      assert.deepEqual({ ...message, ...bytes }, application);
    }
    if (!one) await this.dropped();
  }

  // Version 1 got nothing: the next that it gets is what was sent afterwards.
  async dropped() {
    const sender = await this.sender('1.0.0');
    sender.push(this.topic, 'broadcast', { type: 'broadcast', event: 'next', payload: {} });
    assert.equal((await this.one.broadcast()).payload.event, 'next');
    await this.roomone.broadcast('next');
    assert.deepEqual(this.roomone.heard(), [['next', {}]]);
  }
}

const message = (event, payload, extra = {}) => ({ type: 'broadcast', event, payload, ...extra });

test('matrix: a client\'s binary frame with JSON', async (t) => {
  const members = await Members.join(t);
  const sender = await members.sender('2.0.0');
  sender.socket.send(pushFrame({ join_ref: sender.join_ref, ref: '1', topic: members.topic, event: 'e', payload: kJson }));
  await members.hear({
    two: { frame: deliveredFrame({ topic: members.topic, event: 'e', payload: kJson }) },
    one: message('e', kValue), application: message('e', kValue),
  });
});

test('matrix: a client\'s binary frame with bytes', async (t) => {
  const members = await Members.join(t);
  const sender = await members.sender('2.0.0');
  const frame = { topic: members.topic, event: 'e', encoding: kBytes, payload: kOctets };
  sender.socket.send(pushFrame({ join_ref: sender.join_ref, ref: '1', ...frame }));
  await members.hear({ two: { frame: deliveredFrame(frame) }, application: message('e', kOctets) });
});

for (const vsn of kVersions) {
  test(`matrix: a client's text frame, version ${vsn}`, async (t) => {
    const members = await Members.join(t);
    const sender = await members.sender(vsn);
    const whole = message('e', kValue, { more: ['kept'] });
    sender.push(members.topic, 'broadcast', whole, { join_ref: sender.join_ref });
    await members.hear({ two: { payload: whole }, one: whole, application: whole });
  });
}

test('matrix: REST, a batch, with and without an id', async (t) => {
  const id = 'ab3f2f6e-6d1c-4b68-9f2d-3a2f5f9b7c11';
  for (const given of [undefined, id]) {
    const members = await Members.join(t);
    const answer = await postBatch([{ topic: members.subtopic, event: 'e', payload: kValue, id: given }]);
    assert.equal(answer.status, 202, answer.text);
    const whole = message('e', kValue, given ? { meta: { id } } : {});
    await members.hear({ two: { payload: whole }, one: whole, application: whole });
  }
});

test('matrix: REST, a single JSON message', async (t) => {
  const members = await Members.join(t);
  assert.equal((await postSingle(members.subtopic, 'e', kJson)).status, 202);
  await members.hear({
    two: { frame: deliveredFrame({ topic: members.topic, event: 'e', payload: kJson }) },
    one: message('e', kValue), application: message('e', kValue),
  });
});

test('matrix: REST, a single binary message', async (t) => {
  const members = await Members.join(t);
  assert.equal((await postSingle(members.subtopic, 'e', kOctets, { type: 'application/octet-stream' })).status, 202);
  await members.hear({
    two: { frame: deliveredFrame({ topic: members.topic, event: 'e', encoding: kBytes, payload: kOctets }) },
    application: message('e', kOctets),
  });
});

const stored = async (topic) => (await rows('select id, payload::text from realtime.messages where topic = $1', [topic]))[0];

for (const isPrivate of [false, true]) {
  const kind = isPrivate ? 'private' : 'public';

  test(`matrix: realtime.send, ${kind}`, async (t) => {
    const members = await Members.join(t, { isPrivate });
    await members.listening();
    await sql("select realtime.send($1::jsonb, 'e', $2, $3)", [kJson, members.subtopic, isPrivate]);
    const row = await stored(members.subtopic);
    const metadata = JSON.stringify({ id: row.id });
    const whole = message('e', { ...kValue, id: row.id }, { meta: { id: row.id } });
    await members.hear({
      two: { frame: deliveredFrame({ topic: members.topic, event: 'e', metadata, payload: row.payload }) },
      one: whole, application: whole,
    });
  });

  test(`matrix: realtime.send_binary, ${kind}`, async (t) => {
    const members = await Members.join(t, { isPrivate });
    await members.listening();
    await sql("select realtime.send_binary($1::bytea, 'e', $2, $3)", [kOctets, members.subtopic, isPrivate]);
    const { id } = await stored(members.subtopic);
    const frame = { topic: members.topic, event: 'e', metadata: JSON.stringify({ id }), encoding: kBytes, payload: kOctets };
    await members.hear({ two: { frame: deliveredFrame(frame) }, application: message('e', kOctets, { meta: { id } }) });
  });
}

test('matrix: replay of JSON and of bytes', async (t) => {
  const subtopic = newTopic();
  const topic = `realtime:${subtopic}`;
  await sql("select realtime.send($1::jsonb, 'json', $2)", [kJson, subtopic]);
  await sql("select realtime.send_binary($1::bytea, 'bytes', $2)", [kOctets, subtopic]);
  await sql("select realtime.send('{}', 'last', $1)", [subtopic]);
  const ids = Object.fromEntries((await rows('select event, id from realtime.messages where topic = $1', [subtopic]))
    .map(({ event, id }) => [event, id]));
  const meta = (event) => ({ meta: { replayed: true, id: ids[event] } });
  const json = message('json', { ...kValue, id: ids.json }, meta('json'));
  const last = message('last', { id: ids.last }, meta('last'));
  const config = { private: true, broadcast: { replay: { since: Date.now() - 600000, limit: 25 } } };

  const two = await RawClient.open(t, { key: env.serviceKey });
  const { join_ref } = await two.join(topic, { config });
  const first = await two.broadcast();
  assert.deepEqual(JSON.parse(first.text), [join_ref, null, topic, 'broadcast', json]);
  const { metadata, ...binary } = readDelivered((await two.broadcast()).binary);
  assert.deepEqual(binary, { topic, event: 'bytes', encoding: kBytes, payload: kOctets });
  assert.deepEqual(JSON.parse(metadata), meta('bytes').meta);
  assert.deepEqual(JSON.parse((await two.broadcast()).text), [join_ref, null, topic, 'broadcast', last]);

  const one = await RawClient.open(t, { vsn: '1.0.0', key: env.serviceKey });
  await one.join(topic, { config });
  assert.deepEqual(JSON.parse((await one.broadcast()).text), { event: 'broadcast', payload: json, ref: null, topic });
  assert.deepEqual((await one.broadcast()).payload, last);

  const room = await enter(await makeClient(t, { key: env.serviceKey }), subtopic, { config });
  await room.count(3);
  assert.deepEqual(room.broadcasts.map((each) => [each.event, each.meta.replayed]), [['json', true], ['bytes', true], ['last', true]]);
});
