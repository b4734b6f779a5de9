'use strict';
// Broadcast between clients: who gets a message, in which order, and that its bytes are the sender's.
const test = require('node:test');
const assert = require('node:assert/strict');
const env = require('./lib/env');
const { makeClient, newTopic, kVersions } = require('./lib/clients');
const { RawClient } = require('./lib/raw');
const { enter } = require('./lib/room');
const { pushFrame, deliveredFrame, kBytes } = require('./lib/binary');
const { waitFor } = require('./lib/wait');

const ok = { status: 'ok', response: {} };
const kMaxPayload = 3000000;  // default of realtime.max_payload_size

// A raw client in a topic (with "realtime:"), and the join_ref it got there.
async function rawMember(t, topic, { vsn = '2.0.0', broadcast = {}, ...options } = {}) {
  const client = await RawClient.open(t, { vsn, ...options });
  const reply = await client.join(topic, { config: { broadcast } });
  assert.equal(reply.payload.status, 'ok', reply.text);
  return Object.assign(client, { join_ref: reply.join_ref, topic });
}

for (const senderVsn of kVersions) {
  test(`test_broadcast_delivery: from a client of version ${senderVsn} to both, once each and not to itself`, async (t) => {
    const topic = newTopic();
    const rooms = [];
    for (const vsn of kVersions) rooms.push(await enter(await makeClient(t, { vsn }), topic));
    const sender = await enter(await makeClient(t, { vsn: senderVsn }), topic);
    assert.equal(await sender.send('cursor', { x: 1, name: 'Ünïcødé 🎈' }), 'ok');
    assert.equal(await sender.send('end', {}), 'ok');
    for (const room of rooms) {
      await room.broadcast('end');
      assert.deepEqual(room.broadcasts, [
        { type: 'broadcast', event: 'cursor', payload: { x: 1, name: 'Ünïcødé 🎈' } },
        { type: 'broadcast', event: 'end', payload: {} },
      ]);
    }
    await rooms[0].send('to the sender', {});
    await sender.broadcast('to the sender');
    assert.deepEqual(sender.heard(), [['to the sender', {}]]);
  });
}

test('test_broadcast_delivery: a listener of one event hears only that one', async (t) => {
  const topic = newTopic();
  const client = await makeClient(t);
  const heard = [];
  const channel = client.channel(topic).on('broadcast', { event: 'wanted' }, (message) => heard.push(message.payload.n));
  await new Promise((resolve) => { channel.subscribe((status) => status === 'SUBSCRIBED' && resolve()); });
  const sender = await enter(await makeClient(t), topic);
  for (const [n, event] of ['other', 'wanted', 'other', 'wanted'].entries()) await sender.send(event, { n });
  await waitFor(() => heard.length === 2, 'both wanted broadcasts');
  assert.deepEqual(heard, [1, 3]);
});

test('test_broadcast_no_cross_topic_leak: every topic hears its own messages only', async (t) => {
  const base = newTopic();
  const names = [base, `${base}-1`, `${base}:1`, base.toUpperCase(), `${base} `, `realtime:${base}`, `${base}%`, `é${base}`];
  const rooms = [];
  for (const name of names) rooms.push(await enter(await makeClient(t, { vsn: kVersions[rooms.length % 2] }), name));
  const sender = await makeClient(t);
  const sendable = (name) => !name.includes('é');  // the client's binary frames hold no other letters
  const own = [];
  for (const name of names.filter(sendable)) own.push(await enter(sender, name));
  for (const room of own) await room.send('secret', { of: room.channel.subTopic });
  // All on one socket: a copy that strayed would have come before this.
  const last = await RawClient.open(t);
  for (const name of names) {
    await last.join(`realtime:${name}`);
    await last.request('phoenix', 'heartbeat', {});
    last.push(`realtime:${name}`, 'broadcast', { type: 'broadcast', event: 'end', payload: {} });
  }
  for (const [i, room] of rooms.entries()) {
    await room.broadcast('end');
    const wanted = sendable(names[i]) ? [['secret', { of: names[i] }]] : [];
    assert.deepEqual(room.heard(), [...wanted, ['end', {}]], `topic ${names[i]}`);
  }
});

test('test_broadcast_no_cross_topic_leak: a public and a private channel of one name are apart', async (t) => {
  const topic = newTopic();
  const options = { key: env.serviceKey };
  const open = await enter(await makeClient(t, options), topic);
  const closed = await enter(await makeClient(t, options), topic, { config: { private: true } });
  const openSender = await enter(await makeClient(t, options), topic, { config: { broadcast: { ack: true } } });
  const closedSender = await enter(await makeClient(t, options), topic, { config: { private: true, broadcast: { ack: true } } });
  assert.equal(await openSender.send('open', {}), 'ok');
  assert.equal(await closedSender.send('closed', {}), 'ok');
  assert.equal(await openSender.send('end', { of: 'open' }), 'ok');
  assert.equal(await closedSender.send('end', { of: 'closed' }), 'ok');
  await open.broadcast('end');
  await closed.broadcast('end');
  assert.deepEqual(open.heard(), [['open', {}], ['end', { of: 'open' }]]);
  assert.deepEqual(closed.heard(), [['closed', {}], ['end', { of: 'closed' }]]);
});

test('after unsubscribe nothing arrives, and nothing can be sent', async (t) => {
  const topic = newTopic();
  const leaver = await enter(await makeClient(t), topic);
  const other = await enter(await makeClient(t), topic, { config: { broadcast: { ack: true } } });
  assert.equal(await leaver.channel.unsubscribe(), 'ok');
  assert.equal(await other.send('late', {}), 'ok');
  // The library would hide what still came.
  const gone = await rawMember(t, `realtime:${topic}`);
  assert.deepEqual((await gone.request(gone.topic, 'phx_leave', {}, { join_ref: gone.join_ref })).payload, ok);
  const raw = await RawClient.open(t);
  raw.push(`realtime:${topic}`, 'broadcast', { type: 'broadcast', event: 'stranger', payload: {} });
  await raw.heartbeat();
  const sender = await enter(await makeClient(t), topic);
  await sender.send('end', {});
  await other.broadcast('end');
  assert.deepEqual(other.heard(), [['end', {}]]);
  assert.deepEqual(leaver.heard(), []);
  await gone.heartbeat();
  assert.ok(!gone.frames.some((frame) => frame.binary || frame.event === 'broadcast'));
});

for (const vsn of kVersions) {
  test(`self: the sender hears itself when it asked to, version ${vsn}`, async (t) => {
    const topic = newTopic();
    const room = await enter(await makeClient(t, { vsn }), topic, { config: { broadcast: { self: true } } });
    await room.send('echo', { n: 1 });
    await room.send('echo', { n: 2 });
    await room.count(2);
    assert.deepEqual(room.heard(), [['echo', { n: 1 }], ['echo', { n: 2 }]]);
  });

  test(`self is per channel instance: another channel of the same socket hears it, version ${vsn}`, async (t) => {
    const topic = `realtime:${newTopic()}`;
    const one = await rawMember(t, topic, { vsn });
    const two = await rawMember(t, topic, { vsn });
    one.push(topic, 'broadcast', { type: 'broadcast', event: 'hi', payload: {} }, { join_ref: one.join_ref });
    await two.broadcast();
    await one.heartbeat();
    assert.ok(one.frames.every((frame) => frame.event === 'phx_reply'), 'not to the sender');
  });

  test(`ack: answered exactly with ok once it was published, version ${vsn}`, async (t) => {
    const topic = `realtime:${newTopic()}`;
    const client = await rawMember(t, topic, { vsn, broadcast: { ack: true } });
    const ref = client.push(topic, 'broadcast', { type: 'broadcast', event: 'e', payload: {} }, { join_ref: client.join_ref });
    const reply = await client.reply(ref);
    assert.deepEqual(JSON.parse(reply.text), vsn === '2.0.0'
      ? [client.join_ref, ref, topic, 'phx_reply', ok]
      : { event: 'phx_reply', payload: ok, ref, topic });
    const room = await enter(await makeClient(t, { vsn }), newTopic(), { config: { broadcast: { ack: true } } });
    assert.equal(await room.send('e', { n: 1 }), 'ok');
  });

  test(`without ack a broadcast is not answered, version ${vsn}`, async (t) => {
    const topic = `realtime:${newTopic()}`;
    const client = await rawMember(t, topic, { vsn });
    const ref = client.push(topic, 'broadcast', { type: 'broadcast', event: 'e', payload: {} }, { join_ref: client.join_ref });
    await client.heartbeat();
    assert.ok(!client.frames.some((frame) => frame.ref === ref));
  });

  test(`a payload over the limit is refused with ack, dropped without; the channel goes on, version ${vsn}`, async (t) => {
    const topic = newTopic();
    const listener = await enter(await makeClient(t, { vsn }), topic);
    const silent = await enter(await makeClient(t, { vsn }), topic);
    const acked = await enter(await makeClient(t, { vsn }), topic, { config: { broadcast: { ack: true } } });
    const large = { text: 'x'.repeat(kMaxPayload) };
    assert.equal(await acked.send('large', large), 'error');
    assert.equal(await silent.send('large', large), 'ok');
    assert.equal(await silent.send('after', {}), 'ok');
    assert.equal(await acked.send('end', {}), 'ok');
    await listener.count(2);
    assert.deepEqual(listener.heard().sort(), [['after', {}], ['end', {}]]);
    assert.deepEqual([silent.statuses, acked.statuses], [['SUBSCRIBED'], ['SUBSCRIBED']]);
  });
}

test('the refusal of an oversize broadcast is a bare string', async (t) => {
  const topic = `realtime:${newTopic()}`;
  const client = await rawMember(t, topic, { broadcast: { ack: true } });
  client.socket.send(pushFrame({ join_ref: client.join_ref, ref: 'big', topic, event: 'e', payload: `"${'x'.repeat(kMaxPayload)}"` }));
  const refused = await client.reply('big');
  assert.deepEqual(refused.payload, { status: 'error', response: 'payload_size_exceeded' });
  client.socket.send(pushFrame({ join_ref: client.join_ref, ref: 'fits', topic, event: 'e', payload: `"${'x'.repeat(kMaxPayload - 2)}"` }));
  assert.deepEqual((await client.reply('fits')).payload, ok);
});

test('binary payloads: an ArrayBuffer arrives as the same bytes, also empty and large ones', async (t) => {
  const topic = newTopic();
  const receiver = await enter(await makeClient(t), topic);
  const sender = await enter(await makeClient(t), topic, { config: { broadcast: { ack: true } } });
  const bytes = [new Uint8Array(0), Uint8Array.from({ length: 256 }, (_, i) => i), new Uint8Array(1000000).fill(0xfe)];
  for (const [i, each] of bytes.entries()) assert.equal(await sender.send(`b${i}`, each.buffer), 'ok');
  await receiver.count(bytes.length);
  for (const [i, { event, payload }] of receiver.broadcasts.entries()) {
    assert.equal(event, `b${i}`);
    assert.ok(payload instanceof ArrayBuffer);
    assert.ok(Buffer.from(payload).equals(Buffer.from(bytes[i])), `payload ${i}`);
  }
});

const kOddJson = '{ "big":123456789012345678901234567890.10, "exp" : 1E+2,"neg":-0.0,\t"uni":"\\u00e9\u00e9\\ud83c\\udf88 \u{1f388}",\n' +
  '  "dup":1,"dup":2, "deep":[[[{}]]], "slash":"\\/" }';

test('the bytes of a JSON payload are the sender\'s, to both versions', async (t) => {
  const topic = `realtime:${newTopic()}`;
  const [two, one] = [await rawMember(t, topic), await rawMember(t, topic, { vsn: '1.0.0' })];
  const sender = await rawMember(t, topic);
  sender.socket.send(pushFrame({ join_ref: sender.join_ref, ref: '7', topic, event: 'odd', payload: kOddJson }));
  assert.deepEqual((await two.broadcast()).binary, deliveredFrame({ topic, event: 'odd', payload: kOddJson }));
  const text = (await one.broadcast()).text;
  assert.ok(text.includes(`"payload":${kOddJson}`), text);
});

test('a text frame\'s whole payload is relayed untouched, to both versions and from both', async (t) => {
  const whole = `{ "type":"broadcast", "event" : "odd","extra":{"kept":true},"payload":${kOddJson} }`;
  for (const vsn of kVersions) {
    const topic = `realtime:${newTopic()}`;
    const [two, one] = [await rawMember(t, topic), await rawMember(t, topic, { vsn: '1.0.0' })];
    const sender = await rawMember(t, topic, { vsn });
    const quoted = JSON.stringify(topic);
    sender.text(vsn === '2.0.0' ? `["${sender.join_ref}","8",${quoted},"broadcast",${whole}]`
      : `{"topic":${quoted},"event":"broadcast","payload":${whole},"ref":"8"}`);
    assert.equal((await two.broadcast()).text, `[null,null,${quoted},"broadcast",${whole}]`);
    assert.ok((await one.broadcast()).text.includes(whole));
  }
});

test('names up to 255 bytes fit into binary frames; a broken frame is dropped and the connection stays', async (t) => {
  const topic = `realtime:${newTopic()}`;
  const receiver = await rawMember(t, topic);
  const sender = await rawMember(t, topic);
  const frame = { join_ref: sender.join_ref, topic, event: 'é'.repeat(127), payload: '{}' };
  const whole = pushFrame(frame);
  for (const length of [0, 1, 6, 7, 20, whole.length - 4 - 200]) sender.socket.send(whole.subarray(0, length));
  sender.socket.send(Buffer.concat([Buffer.from([9]), whole.subarray(1)]));
  sender.socket.send(pushFrame({ ...frame, metadata: '{"not json' }));
  sender.socket.send(pushFrame({ ...frame, payload: '{"not json' }));
  sender.socket.send(whole);
  assert.deepEqual((await receiver.broadcast()).binary, deliveredFrame({ topic, event: frame.event, payload: '{}' }));
  assert.equal((await sender.heartbeat()).payload.status, 'ok');
  assert.equal(receiver.frames.filter((each) => each.binary).length, 1);
});

test('a binary payload need not be anything', async (t) => {
  const topic = `realtime:${newTopic()}`;
  const receiver = await rawMember(t, topic);
  const sender = await rawMember(t, topic);
  const payload = Buffer.from([0xff, 0x00, 0xc3, 0x28, 0x22, 0x7b]);
  sender.socket.send(pushFrame({ join_ref: sender.join_ref, topic, event: 'raw', encoding: kBytes, payload }));
  assert.deepEqual((await receiver.broadcast()).binary, deliveredFrame({ topic, event: 'raw', encoding: kBytes, payload }));
});

for (const vsn of kVersions) {
  test(`1,000 messages of one sender arrive in order, from version ${vsn} to both`, async (t) => {
    const topic = newTopic();
    const rooms = [];
    for (const each of kVersions) rooms.push(await enter(await makeClient(t, { vsn: each }), topic));
    const sender = await enter(await makeClient(t, { vsn }), topic);
    for (let n = 0; n < 1000; n += 1) sender.send('n', { n });
    for (const room of rooms) {
      await room.count(1000);
      assert.deepEqual(room.broadcasts.map(({ payload }) => payload.n), Array.from({ length: 1000 }, (_, n) => n));
    }
  });
}

test('200 clients of both versions on one topic all get every message, in the same order per sender', async (t) => {
  const topic = `realtime:${newTopic()}`;
  const clients = [];
  for (let i = 0; i < 200; i += 1) clients.push(await rawMember(t, topic, { vsn: kVersions[i % 2] }));
  const kEach = 20;
  const senders = clients.slice(0, 4);
  for (let n = 0; n < kEach; n += 1) {
    for (const [s, sender] of senders.entries()) {
      sender.push(topic, 'broadcast', { type: 'broadcast', event: 'n', payload: { s, n } }, { join_ref: sender.join_ref });
    }
  }
  const got = (client) => client.frames.filter((frame) => frame.event === 'broadcast').map((frame) => frame.payload.payload);
  for (const [i, client] of clients.entries()) {
    const others = senders.map((_, s) => s).filter((s) => senders[s] !== client);
    await waitFor(() => got(client).length >= kEach * others.length, () => `all messages at client ${i}; has ${got(client).length}`);
    for (const s of others) {
      const numbers = got(client).filter((payload) => payload.s === s).map((payload) => payload.n);
      assert.deepEqual(numbers, Array.from({ length: kEach }, (_, n) => n), `sender ${s} at client ${i}`);
    }
    assert.equal(got(client).length, kEach * others.length, `client ${i}`);
  }
});
