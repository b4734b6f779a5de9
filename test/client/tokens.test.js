'use strict';
// The token of a channel: where it comes from, how it is refreshed, what happens when it expires.
const test = require('node:test');
const assert = require('node:assert/strict');
const { RawClient } = require('./lib/raw');
const { withTable, sql } = require('./lib/sql');
const { makeClient, subscribe, watch, table, newTopic, kVersions } = require('./lib/clients');
const { makeToken, userToken, now } = require('./lib/token');
const { waitFor } = require('./lib/wait');

const kOwnRows = ["for select to authenticated using ((select auth.uid()) = user_id)"];
const kAnn = '11111111-1111-4111-8111-111111111111';
const kBob = '22222222-2222-4222-8222-222222222222';
const owned = (t) => withTable(t, 'id int primary key, user_id uuid', { rls: kOwnRows });

const kBadTokens = [
  ['an expired token', () => makeToken({ exp: now() - 100 }), /^InvalidJWTToken: Token has expired 10\d seconds ago$/],
  ['a token without role', () => makeToken({ role: undefined }), /^InvalidJWTToken: Fields `role` and `exp` are required in JWT$/],
  ['no token at all', () => 'rubbish', /^MalformedJWT: The token provided is not a valid JWT$/],
  ['a wrong signature', () => makeToken({}, { secret: 'another' }), /^JwtSignatureError: Failed to validate JWT signature$/],
  ['an algorithm without key', () => makeToken({}, { header: { alg: 'HS999' } }), /^JwtSignerError: Failed to generate JWT signer, /],
];
for (const [what, token, reason] of kBadTokens) {
  test(`a join is refused with ${what}`, async (t) => {
    const client = await RawClient.open(t);
    const topic = `realtime:${newTopic()}`;
    const reply = await client.join(topic, { token: token() });
    assert.equal(reply.payload.status, 'error');
    assert.match(reply.payload.response.reason, reason);
    assert.equal((await client.join(topic)).payload.status, 'ok', 'the connection goes on');
  });
}

test('the token of the join wins over that of the connection; sb_ keys and null fall back to it', async (t) => {
  const source = await owned(t);
  const ann = await RawClient.open(t, { key: userToken(kBob) });
  await ann.listen('realtime:own', [table(source)], { token: userToken(kAnn) });
  const bob = await RawClient.open(t, { key: userToken(kBob) });
  await bob.listen('realtime:opaque', [table(source)], { token: 'sb_publishable_123' });
  const legacyName = await RawClient.open(t);
  const payload = { config: { postgres_changes: [table(source)] }, user_token: userToken(kAnn), access_token: userToken(kBob) };
  assert.equal((await legacyName.join('realtime:user-token', { payload })).payload.status, 'ok');
  await legacyName.event('system');
  await sql(`insert into ${source.quoted} values (1, '${kBob}'), (2, '${kAnn}'), (3, '${kBob}'), (4, '${kAnn}')`);
  const ids = async (client, last) => {
    const all = () => client.frames.filter((frame) => frame.event === 'postgres_changes').map((f) => f.payload.data.record.id);
    await waitFor(() => all().includes(last), `row ${last}`);
    return all();
  };
  assert.deepEqual(await ids(ann, 4), [2, 4]);
  assert.deepEqual(await ids(bob, 3), [1, 3]);
  assert.deepEqual(await ids(legacyName, 4), [2, 4]);
});

for (const vsn of kVersions) {
  test(`a refreshed token is answered by another "Subscribed to PostgreSQL" and changes what is seen, vsn ${vsn}`, async (t) => {
    const source = await owned(t);
    const client = await makeClient(t, { vsn, token: userToken(kAnn) });
    const recording = await subscribe(client, table(source));
    await sql(`insert into ${source.quoted} values (1, '${kAnn}'), (2, '${kBob}')`);
    await recording.count(1);
    await client.realtime.setAuth(userToken(kBob));
    await recording.system('ok', 2);
    await sql(`insert into ${source.quoted} values (3, '${kAnn}'), (4, '${kBob}'), (5, '${kAnn}'), (6, '${kBob}')`);
    await recording.event((event) => event.new.id === 6);
    assert.deepEqual(recording.values(), [1, 4, 6]);
    assert.deepEqual(recording.statuses, ['SUBSCRIBED']);
  });
}

test('no row is lost or repeated while the token is refreshed for the same user', async (t) => {
  const source = await owned(t);
  const client = await makeClient(t, { token: userToken(kAnn) });
  const recording = await subscribe(client, table(source));
  let id = 0;
  for (let round = 1; round <= 10; round += 1) {
    const refresh = client.realtime.setAuth(userToken(kAnn, { round }));
    for (let i = 0; i < 10; i += 1) await sql(`insert into ${source.quoted} values (${++id}, '${kAnn}')`);
    await refresh;
    await recording.system('ok', round + 1);
  }
  await recording.event((event) => event.new.id === id);
  assert.deepEqual(recording.values(), Array.from({ length: id }, (_, i) => i + 1));
});

test('an expired token: `system`, then phx_close; the socket and other channels live on', async (t) => {
  const source = await withTable(t, 'id int primary key');
  const client = await RawClient.open(t);
  const short = await client.join('realtime:short', { bindings: [table(source)], token: makeToken({ exp: now() + 3 }) });
  const long = await client.join('realtime:long', { bindings: [table(source)] });
  assert.equal(short.payload.status, 'ok');
  const expired = await client.next((frame) => frame.event === 'system' && frame.payload.status === 'error', 'the expiry');
  assert.equal(expired.topic, 'realtime:short');
  assert.equal(expired.payload.extension, 'system');
  assert.equal(expired.payload.channel, 'short');
  assert.match(expired.payload.message, /^Token has expired \d+ seconds ago$/);
  const close = await client.event('phx_close');
  assert.deepEqual([close.topic, close.join_ref, close.ref], ['realtime:short', short.join_ref, short.join_ref]);
  await sql(`insert into ${source.quoted} values (1)`);
  assert.equal((await client.change()).topic, long.topic);
  const unmatched = await client.request('realtime:short', 'broadcast', {});
  assert.deepEqual(unmatched.payload.response, { reason: 'unmatched topic' });
});

test('an expired token closes a channel without bindings too, and supabase-js reports CLOSED', async (t) => {
  const client = await makeClient(t, { token: makeToken({ exp: now() + 3 }) });
  const recording = watch(client, []);
  await recording.status('SUBSCRIBED');
  await recording.status('CLOSED');
  assert.match(recording.systems.at(-1).message, /^Token has expired \d+ seconds ago$/);
});

test('a refresh in time moves the expiry', async (t) => {
  const client = await RawClient.open(t);
  const topic = `realtime:${newTopic()}`;
  const first = now() + 3;
  await client.join(topic, { token: makeToken({ exp: first }) });
  client.push(topic, 'access_token', { access_token: makeToken({ exp: now() + 600 }) });
  const witness = `realtime:${newTopic()}`;
  await client.join(witness, { token: makeToken({ exp: first + 1 }) });
  assert.equal((await client.event('phx_close')).topic, witness, 'the one that was not refreshed closes');
  assert.ok(!client.frames.some((frame) => frame.event === 'phx_close' && frame.topic === topic));
});

const kBadRefreshes = [
  ['expired', () => makeToken({ exp: now() - 100 }), /^Token has expired 10\d seconds ago$/],
  ['empty', () => '', /^The token provided is not a valid JWT$/],
  ['malformed', () => 'a.b.c', /^The token provided is not a valid JWT$/],
  ['without role', () => makeToken({ role: undefined }), /^Fields `role` and `exp` are required in JWT$/],
  ['wrongly signed', () => makeToken({}, { secret: 'another' }), /^:signature_error$/],
];
for (const [what, token, message] of kBadRefreshes) {
  test(`a refresh with a token that is ${what} closes the channel`, async (t) => {
    const source = await withTable(t, 'id int primary key');
    const client = await RawClient.open(t);
    const topic = `realtime:${newTopic()}`;
    await client.listen(topic, [table(source)]);
    client.push(topic, 'access_token', { access_token: token() });
    const system = await client.event('system');
    assert.equal(system.payload.status, 'error');
    assert.equal(system.payload.extension, 'system');
    assert.match(system.payload.message, message);
    assert.equal((await client.event('phx_close')).topic, topic);
    assert.equal((await client.heartbeat()).payload.status, 'ok');
  });
}
