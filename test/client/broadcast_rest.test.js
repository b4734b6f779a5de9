'use strict';
// Broadcast over HTTP: what the clients do, and what a plain request is answered.
const test = require('node:test');
const assert = require('node:assert/strict');
const env = require('./lib/env');
const { makeClient, newTopic, kVersions } = require('./lib/clients');
const { enter } = require('./lib/room');
const { request, postBatch, postSingle, kPaths } = require('./lib/rest');
const { makeToken, now } = require('./lib/token');

const kOversize = 3000001;  // bytes of a payload: one more than realtime.max_payload_size

for (const vsn of kVersions) {
  test(`send() of a channel that was not joined goes over REST, version ${vsn}`, async (t) => {
    t.mock.method(console, 'warn', () => {});
    const topic = newTopic();
    const receiver = await enter(await makeClient(t, { vsn }), topic);
    const channel = (await makeClient(t, { vsn })).channel(topic);
    assert.equal(await channel.send({ type: 'broadcast', event: 'e', payload: { n: 1 } }), 'ok');
    assert.deepEqual(await receiver.broadcast('e'), { type: 'broadcast', event: 'e', payload: { n: 1 } });
    assert.equal(await channel.send({ type: 'broadcast', event: 'e', payload: 'not an object' }), 'error');
  });

  test(`httpSend() of JSON, version ${vsn}`, async (t) => {
    const topic = `${newTopic()} ä/b?c#d%`;
    const receiver = await enter(await makeClient(t, { vsn }), topic);
    const channel = (await makeClient(t, { vsn })).channel(topic);
    assert.deepEqual(await channel.httpSend('an event/é', { n: [1, null] }), { success: true });
    assert.deepEqual(await receiver.broadcast('an event/é'), { type: 'broadcast', event: 'an event/é', payload: { n: [1, null] } });
  });
}

test('httpSend() of an ArrayBuffer and of a view arrives as bytes', async (t) => {
  const topic = newTopic();
  const receiver = await enter(await makeClient(t), topic);
  const channel = (await makeClient(t)).channel(topic);
  const bytes = Uint8Array.from({ length: 300 }, (_, i) => i);
  for (const [event, payload] of [['buffer', bytes.buffer], ['view', bytes], ['words', new Uint16Array(bytes.buffer)]]) {
    assert.deepEqual(await channel.httpSend(event, payload), { success: true });
    const message = await receiver.broadcast(event);
    assert.deepEqual(Buffer.from(message.payload), Buffer.from(bytes));
  }
});

test('httpSend() to a private channel needs the right, and says so when it is missing', async (t) => {
  const topic = newTopic();
  const config = { private: true };
  const receiver = await enter(await makeClient(t, { key: env.serviceKey }), topic, { config });
  const allowed = (await makeClient(t, { key: env.serviceKey })).channel(topic, { config });
  assert.deepEqual(await allowed.httpSend('e', { n: 1 }), { success: true });
  assert.deepEqual((await receiver.broadcast('e')).payload, { n: 1 });
  const denied = (await makeClient(t)).channel(topic, { config });
  await assert.rejects(denied.httpSend('e', { n: 2 }), { message: 'Unauthorized' });
});

test('both routes, with and without the prefix, with unknown query parameters', async (t) => {
  const topic = newTopic();
  const receiver = await enter(await makeClient(t), topic);
  const query = `?apikey=${env.anonKey}&vsn=2.0.0&nobody=knows&empty=&=`;
  let sent = 0;
  for (const prefix of kPaths) {
    const messages = [{ topic, event: `${sent += 1}`, payload: {} }, { topic, event: `${sent += 1}`, payload: {}, private: false }];
    const batch = await postBatch(messages, { path: `${prefix}${query}` });
    assert.deepEqual([batch.status, batch.text], [202, '']);
    const single = await postSingle(topic, `${sent += 1}`, {}, { prefix, query });
    assert.deepEqual([single.status, single.text], [202, '']);
    assert.equal(single.headers.get('access-control-allow-origin'), '*');
  }
  await receiver.count(sent);
  assert.deepEqual(receiver.broadcasts.map(({ event }) => Number(event)), Array.from({ length: sent }, (_, i) => i + 1));
});

test('who calls: a token in Authorization or apikey; anything else is 401', async (t) => {
  const topic = newTopic();
  const send = (headers) => postSingle(topic, 'e', {}, { key: null, headers }).then(({ status, text }) => [status, text]);
  const unauthorized = [401, '{"message":"Unauthorized"}'];
  const expired = makeToken({ exp: now() - 10 });
  assert.deepEqual(await send({ authorization: `Bearer ${env.anonKey}` }), [202, '']);
  assert.deepEqual(await send({ authorization: `bearer ${makeToken()}` }), [202, '']);
  assert.deepEqual(await send({ apikey: env.anonKey }), [202, '']);
  assert.deepEqual(await send({}), unauthorized);
  assert.deepEqual(await send({ authorization: 'Bearer nonsense' }), unauthorized);
  assert.deepEqual(await send({ authorization: 'nonsense' }), unauthorized);
  assert.deepEqual(await send({ authorization: `Bearer ${expired}` }), unauthorized);
  assert.deepEqual(await send({ authorization: `Bearer ${makeToken({}, { secret: 'x'.repeat(32) })}` }), unauthorized);
});

test('a batch that is not right is refused as a whole, each message with what is wrong', async (t) => {
  const topic = newTopic();
  const receiver = await enter(await makeClient(t), topic);
  const good = { topic, event: 'good', payload: {} };
  const refused = async (messages, errors) => {
    const answer = await postBatch(messages);
    assert.equal(answer.status, 422, answer.text);
    assert.deepEqual(answer.json(), { errors });
  };
  await refused([], { messages: ["can't be blank"] });
  await refused('{}', { messages: ["can't be blank"] });
  await refused([{ topic }, good], { messages: [{ payload: ["can't be blank"], event: ["can't be blank"] }, {}] });
  await refused([{ ...good, payload: [1] }], { messages: [{ payload: ['is invalid'] }] });
  await refused([{ ...good, event: 7, topic: '' }], { messages: [{ event: ['is invalid'], topic: ["can't be blank"] }] });
  const large = { text: 'x'.repeat(kOversize) };
  await refused([{ ...good, payload: large }], { messages: [{ payload: ['Payload size exceeds tenant limit'] }] });
  assert.equal((await postBatch('{"messages":')).status, 400);
  assert.equal((await postBatch([{ ...good, event: 'end' }])).status, 202);
  await receiver.broadcast('end');
  assert.deepEqual(receiver.heard(), [['end', {}]]);
});

test('a batch with private messages that the caller may not write: the others go, the answer names what was skipped', async (t) => {
  const topic = newTopic();
  const open = await enter(await makeClient(t), topic);
  const closed = await enter(await makeClient(t, { key: env.serviceKey }), topic, { config: { private: true } });
  const messages = [
    { topic, event: 'one', payload: {} },
    { topic, event: 'two', payload: {}, private: true },
    { topic, event: 'three', payload: {}, private: false },
  ];
  const partly = await postBatch(messages);
  assert.equal(partly.status, 202);
  assert.deepEqual(partly.json(), { skipped: [{ index: 1, topic, reason: 'Unauthorized' }] });
  const whole = await postBatch(messages, { key: env.serviceKey });
  assert.deepEqual([whole.status, whole.text], [202, '']);
  await open.count(4);
  assert.deepEqual(open.broadcasts.map(({ event }) => event), ['one', 'three', 'one', 'three']);
  await closed.broadcast('two');
  assert.deepEqual(closed.heard(), [['two', {}]]);
});

test('the single route: content types, sizes and payloads', async (t) => {
  const topic = newTopic();
  const receiver = await enter(await makeClient(t), topic);
  const other = await postSingle(topic, 'e', 'text', { type: 'text/plain' });
  assert.deepEqual([other.status, other.text],
    [415, '{"error":"Unsupported Media Type. Use application/json or application/octet-stream"}']);
  const large = await postSingle(topic, 'e', Buffer.alloc(kOversize), { type: 'application/octet-stream' });
  assert.deepEqual([large.status, large.json()], [422, { errors: { payload: ['Payload size exceeds tenant limit'] } }]);
  const huge = await postSingle(topic, 'e', Buffer.alloc(9 << 20), { type: 'application/octet-stream' });
  assert.equal(huge.status, 413);
  assert.equal((await postSingle(topic, 'e', '{"a":', {})).status, 400);
  const denied = await postSingle(topic, 'e', {}, { query: '?private=true' });
  assert.deepEqual([denied.status, denied.text], [403, '{"message":"Unauthorized"}']);

  assert.equal((await postSingle(topic, 'charset', '{"a":1}', { type: 'application/json; charset=utf-8' })).status, 202);
  assert.equal((await postSingle(topic, 'list', '[1,2]')).status, 202);
  assert.equal((await postSingle(topic, 'bare', Buffer.from('{"a":2}'), { type: '' })).status, 202);
  await receiver.count(3);
  assert.deepEqual(receiver.heard(), [['charset', { a: 1 }], ['list', { _json: [1, 2] }], ['bare', { a: 2 }]]);
});

test('a browser\'s preflight is answered, for whatever header it asks', async () => {
  const paths = [kPaths[0], `${kPaths[0]}/room/events/e?private=true`, kPaths[1]];
  for (const path of paths) {
    const asked = 'apikey,authorization,content-type,traceparent,x-client-info,x-my-own';
    const answer = await request(path, {
      method: 'OPTIONS', key: null,
      headers: { origin: 'https://app.example', 'access-control-request-method': 'POST', 'access-control-request-headers': asked },
    });
    assert.ok([200, 204].includes(answer.status), `${answer.status} for ${path}`);
    assert.equal(answer.headers.get('access-control-allow-origin'), '*');
    const allowed = answer.headers.get('access-control-allow-headers').toLowerCase().split(/\s*,\s*/);
    for (const header of asked.split(',')) assert.ok(allowed.includes(header), `${header} in ${allowed}`);
    assert.ok(answer.headers.get('access-control-allow-methods').toUpperCase().includes('POST'));
  }
});

test('errors, too, can be read by a browser of another origin', async () => {
  const answer = await postBatch([], { key: null, headers: { origin: 'https://app.example' } });
  assert.equal(answer.status, 401);
  assert.equal(answer.headers.get('access-control-allow-origin'), '*');
});

test('other methods and unknown paths are not served', async () => {
  assert.ok([404, 405].includes((await request(kPaths[0], { method: 'GET' })).status));
  assert.equal((await request('/realtime/v1/api/broadcast/room/event/e', { body: '{}' })).status, 404);
  assert.equal((await request('/realtime/v1/api/nothing', { body: '{}' })).status, 404);
});
