'use strict';
// The endpoint: paths, keys, versions, heartbeats, and bytes that are not what the protocol says.
const test = require('node:test');
const assert = require('node:assert/strict');
const WebSocket = require('ws');
const env = require('./lib/env');
const { RawClient, handshake, kPath } = require('./lib/raw');
const { makeToken, now } = require('./lib/token');

const url = (query, path = kPath) => `${path}?${new URLSearchParams(query)}`;

for (const path of ['/realtime/v1/websocket', '/socket/websocket']) {
  test(`connects on ${path} and the server says nothing first`, async (t) => {
    const client = await RawClient.open(t, { path });
    assert.equal((await client.heartbeat()).payload.status, 'ok');
    assert.equal(client.frames.length, 1);
  });
}

test('the key may come in the header x-api-key, which wins over the query', async (t) => {
  const bad = makeToken({}, { secret: 'not the secret of this server' });
  const client = await RawClient.open(t, { key: bad, headers: { 'x-api-key': env.anonKey } });
  assert.equal((await client.heartbeat()).payload.status, 'ok');
  const refused = await handshake(url({ apikey: env.anonKey, vsn: '2.0.0' }), { headers: { 'x-api-key': bad } });
  assert.equal(refused.status, 401);
});

test('unknown query parameters, log_level and blanks in the key are tolerated', async (t) => {
  const key = `${env.anonKey.slice(0, 20)}\t ${env.anonKey.slice(20)}`;
  const client = await RawClient.open(t, { key, query: { log_level: 'info', whatever: 'x', eventsPerSecond: '10' } });
  assert.equal((await client.heartbeat()).payload.status, 'ok');
});

test('subprotocols and permessage-deflate are never negotiated', async () => {
  const headers = { 'sec-websocket-protocol': 'phoenix, other', 'sec-websocket-extensions': 'permessage-deflate' };
  const accepted = await handshake(url({ apikey: env.anonKey, vsn: '2.0.0' }), { headers });
  assert.equal(accepted.status, 101);
  assert.equal(accepted.headers['sec-websocket-protocol'], undefined);
  assert.equal(accepted.headers['sec-websocket-extensions'], undefined);
});

const kExpired = () => makeToken({ exp: now() - 60 });
const kRefusals = [
  ['no key', () => ({}), 401, 'API key is missing'],
  ['an expired token', () => ({ apikey: kExpired() }), 401, 'Token has expired'],
  ['a token without role', () => ({ apikey: makeToken({ role: undefined }) }), 401, 'Fields `role` and `exp` are required in JWT'],
  ['a token without exp', () => ({ apikey: makeToken({ exp: undefined }) }), 401, 'Fields `role` and `exp` are required in JWT'],
  ['something that is no token', () => ({ apikey: 'hello' }), 401, 'The token provided is not a valid JWT'],
  ['a token signed with another secret', () => ({ apikey: makeToken({}, { secret: 'another' }) }), 401,
    'Failed to validate JWT signature'],
  ['a token with alg none', () => ({ apikey: makeToken({}, { header: { alg: 'none' } }) }), 401,
    'Failed to generate JWT signer, check your JWT secret or JWKS configuration'],
  ['iat that is no number', () => ({ apikey: makeToken({ iat: 'yesterday' }) }), 500, 'Error connecting to Realtime'],
];
for (const [what, query, status, error] of kRefusals) {
  test(`handshake refused: ${what}`, async () => {
    const answer = await handshake(url({ ...query(), vsn: '2.0.0' }));
    assert.equal(answer.status, status);
    assert.deepEqual(JSON.parse(answer.body), { error });
    assert.equal(answer.headers['content-type'], 'application/json; charset=utf-8');
  });
}

test('vsn matrix: absent means 1.0.0, ~> 1.0.0 and ~> 2.0.0 work', async (t) => {
  for (const vsn of [undefined, '1.0.0', '1.0.1', '2.0.0', '2.0.3']) {
    const client = await RawClient.open(t, { vsn });
    assert.equal((await client.heartbeat()).payload.status, 'ok', `vsn ${vsn}`);
  }
});

test('vsn matrix: others are refused with 403 and an empty body', async () => {
  for (const vsn of ['0.9.0', '1.1.0', '2.1.0', '3.0.0', '2', 'abc']) {
    const answer = await handshake(url({ apikey: env.anonKey, vsn }));
    assert.equal(answer.status, 403, `vsn ${vsn}`);
    assert.equal(answer.body, '', `vsn ${vsn}`);
  }
});

test('other methods on the WebSocket path are answered 400 with an empty body', async () => {
  const answer = await handshake(url({ apikey: env.anonKey, vsn: '2.0.0' }), { method: 'POST', upgrade: false });
  assert.equal(answer.status, 400);
  assert.equal(answer.body, '');
});

test('health check, and unknown paths', async () => {
  const health = await handshake('/healthcheck', { upgrade: false });
  assert.equal(health.status, 200);
  assert.equal(health.body, 'ok');
  assert.equal((await handshake('/nothing/here', { upgrade: false })).status, 404);
  assert.notEqual((await handshake(url({ apikey: env.anonKey }, '/other/websocket'))).status, 101);
});

test('heartbeat frames are exact in both versions', async (t) => {
  const two = await RawClient.open(t);
  two.text('[null,"26","phoenix","heartbeat",{}]');
  assert.deepEqual(JSON.parse((await two.reply('26')).text),
    [null, '26', 'phoenix', 'phx_reply', { status: 'ok', response: {} }]);
  const one = await RawClient.open(t, { vsn: '1.0.0' });
  one.text('{"topic":"phoenix","event":"heartbeat","payload":{},"ref":"26"}');
  assert.deepEqual(JSON.parse((await one.reply('26')).text),
    { event: 'phx_reply', payload: { response: {}, status: 'ok' }, ref: '26', topic: 'phoenix' });
});

const kMalformed = {
  '2.0.0': ['', 'hello', '{}', '[]', '[1,2,3]', '[null,"1","phoenix","heartbeat"]', '[null,"1",5,"heartbeat",{}]', 'null', '"x"',
    '[null,"1","phoenix","heartbeat",{}', '['.repeat(100000), '{"topic":"phoenix","event":"heartbeat","payload":{},"ref":"1"}',
    '[null,"1","realtime:x","phx_join",null]', '[null,"1","realtime:x","phx_join",[]]', '\u0000', '[null,"1","\ud800","x",{}]'],
  '1.0.0': ['', 'hello', '[]', '{}', '{"topic":"phoenix","event":"heartbeat","payload":{}}', '{"topic":1,"event":2,"payload":3,"ref":4}',
    'null', '{"a":'.repeat(50000), '[null,"1","phoenix","heartbeat",{}]'],
};
for (const [vsn, texts] of Object.entries(kMalformed)) {
  test(`malformed frames keep the connection open, vsn ${vsn}`, async (t) => {
    const client = await RawClient.open(t, { vsn });
    for (const text of texts) client.text(text);
    assert.equal((await client.request('phoenix', 'heartbeat', {}, { ref: 'last' })).payload.status, 'ok');
    assert.equal(client.closed, null);
  });
}

test('malformed binary frames keep the connection open', async (t) => {
  const client = await RawClient.open(t);
  const frames = [[], [3], [3, 255, 255, 255, 255, 255, 1], [9, 1, 2, 3], [0, 1, 1, 1, 1], [4, 1, 1, 1, 1, 1], [255]];
  for (const bytes of frames) client.socket.send(Buffer.from(bytes), { binary: true });
  for (let kind = 0; kind < 256; kind += 1) client.socket.send(Buffer.alloc(kind, kind), { binary: true });
  assert.equal((await client.heartbeat()).payload.status, 'ok');
  assert.equal(client.closed, null);
});

test('an oversize message closes the socket, and only that one', async (t) => {
  const other = await RawClient.open(t);
  const client = await RawClient.open(t);
  client.text(`[null,"1","phoenix","heartbeat",{"x":"${'x'.repeat(5_100_000)}"}]`);
  assert.ok([1009, 1006].includes((await client.close()).code));
  assert.equal((await other.heartbeat()).payload.status, 'ok');
});

test('a large message within the limit is answered', async (t) => {
  const client = await RawClient.open(t);
  client.text(`[null,"big","phoenix","heartbeat",{"x":"${'x'.repeat(4_000_000)}"}]`);
  assert.equal((await client.reply('big')).payload.status, 'ok');
});

test('a fragmented message is put together, with a ping between its parts', async (t) => {
  const client = await RawClient.open(t);
  let pongs = 0;
  client.socket.on('pong', () => { pongs += 1; });
  const text = '[null,"parts","phoenix","heartbeat",{"x":"äöü€😀"}]';
  const bytes = Buffer.from(text);
  for (let i = 0; i < bytes.length; i += 1) {
    client.socket.send(bytes.subarray(i, i + 1), { fin: i === bytes.length - 1, binary: false });
    if (i === 10) client.socket.ping('between');
  }
  assert.equal((await client.reply('parts')).payload.status, 'ok');
  assert.equal(pongs, 1);
});

test('a close frame from the client is echoed', async (t) => {
  const client = await RawClient.open(t);
  client.socket.close(1000, 'bye');
  assert.equal((await client.close()).code, 1000);
});

test('protocol violations below the messages end the socket, not the server', async (t) => {
  const witness = await RawClient.open(t);
  const attacks = [
    Buffer.from([0x81, 0x01, 0x41]),                                             // not masked
    Buffer.from([0xf1, 0x80, 0, 0, 0, 0]),                                       // reserved bits
    Buffer.from([0x8b, 0x80, 0, 0, 0, 0]),                                       // reserved opcode
    Buffer.from([0x80, 0x80, 0, 0, 0, 0]),                                       // continuation of nothing
    Buffer.from([0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]),  // length with the top bit
    Buffer.from([0x89, 0xfe, 0x01, 0x00, 0, 0, 0, 0]),                           // ping longer than 125
  ];
  for (const bytes of attacks) {
    const client = await RawClient.open(t);
    client.socket._socket.write(bytes);
    client.socket._socket.end();
    await client.close();
  }
  assert.equal((await witness.heartbeat()).payload.status, 'ok');
});

test('connections that never finish their handshake do not keep others out', async (t) => {
  const net = require('node:net');
  const idle = Array.from({ length: 50 }, () => net.connect(env.port, env.host));
  idle.forEach((socket) => { socket.on('error', () => {}); socket.write('GET /realtime/v1/websocket HTTP/1.1\r\nHost:'); });
  t.after(() => idle.forEach((socket) => socket.destroy()));
  const client = await RawClient.open(t);
  assert.equal((await client.heartbeat()).payload.status, 'ok');
  assert.equal(client.socket.readyState, WebSocket.OPEN);
});
