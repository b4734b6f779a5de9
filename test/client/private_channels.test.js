'use strict';
// Private channels: the policies of realtime.messages decide who hears and who speaks, as they are written for Supabase.
const test = require('node:test');
const assert = require('node:assert/strict');
const env = require('./lib/env');
const { withTable, withRole, withSchema, connect, sql } = require('./lib/sql');
const { withPolicies, mayRead, mayWrite } = require('./lib/policies');
const { makeClient, newTopic, kVersions } = require('./lib/clients');
const { RawClient } = require('./lib/raw');
const { Room, enter } = require('./lib/room');
const { Log } = require('./lib/log');
const { makeToken, userToken } = require('./lib/token');

const kAnn = '66666666-6666-4666-8666-666666666661';
const kBob = '66666666-6666-4666-8666-666666666662';
const kPrivate = { private: true, broadcast: { ack: true } };

const mayNotRead = (topic) => `Unauthorized: You do not have permissions to read from this Channel topic: ${topic}`;
const noLonger = (topic) => `You no longer have permission to read from this Channel topic: ${topic}`;
const clientOf = (t, user, { claims, ...options } = {}) => makeClient(t, { token: userToken(user, claims), ...options });
const enterPrivate = (client, topic, options = {}) => enter(client, topic, { config: kPrivate, ...options });

// The reason that a join by these means is refused with.
async function refusal(client, topic) {
  const room = new Room(client, topic, { config: { private: true } });
  await room.status('CHANNEL_ERROR');
  // The older client puts the reason between quotation marks.
  return room.errors[0].message.replace(/^"|"$/g, '');
}

// A raw client that has joined a private topic.
async function rawMember(t, topic, { token = userToken(kAnn), config = kPrivate, ...options } = {}) {
  const client = await RawClient.open(t, options);
  const reply = await client.join(`realtime:${topic}`, { config, token });
  assert.equal(reply.payload.status, 'ok', reply.text);
  return Object.assign(client, { join_ref: reply.join_ref });
}
const say = (client, topic, event) => client.request(`realtime:${topic}`, 'broadcast', { type: 'broadcast', event, payload: {} });

// The answer to a join of a private topic, whatever it is.
async function ask(t, topic, token) {
  const client = await RawClient.open(t);
  return (await client.join(`realtime:${topic}`, { config: kPrivate, token })).payload;
}
const isMember = async (t, topic, token) => (await ask(t, topic, token)).status === 'ok';

// rooms_users of Supabase's documentation, with ann in `topic`.
async function withMembers(t, topic) {
  const members = await withTable(t, 'user_id uuid, room_topic text', { publish: false });
  await sql(`insert into ${members.quoted} values ('${kAnn}', '${topic}')`);
  const isMember = (extensions) => `exists (select user_id from ${members.quoted} where user_id = (select auth.uid())
    and room_topic = (select realtime.topic()) and realtime.messages.extension in (${extensions}))`;
  return { members, isMember };
}

for (const vsn of kVersions) {
  test(`members of a room hear and speak, others are refused: vsn ${vsn}`, async (t) => {
    const topic = newTopic('rooms');
    const { members, isMember } = await withMembers(t, topic);
    await withPolicies(t, `for select to authenticated using (${isMember("'broadcast', 'presence'")})`,
      `for insert to authenticated with check (${isMember("'broadcast', 'presence'")})`);
    const ann = await enter(await clientOf(t, kAnn, { vsn }), topic, { presence: true, config: { ...kPrivate, presence: { key: 'ann' } } });
    const bob = await clientOf(t, kBob, { vsn });
    assert.equal(await refusal(bob, topic), mayNotRead(topic));
    assert.equal(await refusal(await makeClient(t, { vsn }), topic), mayNotRead(topic), 'anon');
    await sql(`insert into ${members.quoted} values ('${kBob}', '${topic}')`);
    const other = await enterPrivate(await clientOf(t, kBob, { vsn }), topic, { presence: true });
    assert.equal(await other.send('hello', { n: 1 }), 'ok');
    await ann.broadcast('hello');
    assert.equal(await ann.channel.track({ name: 'ann' }), 'ok');
    await other.presence('join', 'ann');
    // A room of another name has other members.
    assert.equal(await refusal(await clientOf(t, kBob, { vsn }), `${topic}-2`), mayNotRead(`${topic}-2`));
  });
}

test('a topic is compared as it is: pattern, prefix, case, spaces, quotes', async (t) => {
  const base = newTopic('room');
  const odd = [`${base}:it's "quoted" \\ %`, `${base}:é🎈`, `${base}: space `];
  await withPolicies(t, `for select to authenticated using (realtime.topic() like '${base}:%' and topic = realtime.topic())`);
  for (const topic of odd) assert.ok(await isMember(t, topic, userToken(kAnn)), topic);
  for (const topic of [base, base.toUpperCase(), ` ${base}:1`]) assert.ok(!await isMember(t, topic, userToken(kAnn)), topic);
});

test('a topic with a NUL is no topic that a policy can be asked about', async (t) => {
  const topic = newTopic();
  await withPolicies(t, mayRead(topic));
  assert.ok(await isMember(t, topic, userToken(kAnn)));
  const answer = await ask(t, `${topic}\0x`, userToken(kAnn));
  assert.equal(answer.status, 'error');
});

test('who may only read is told so when it speaks, and nobody hears it', async (t) => {
  const topic = newTopic();
  await withPolicies(t, mayRead(topic), mayWrite(topic, `auth.uid() = '${kAnn}'`));
  const ann = await enterPrivate(await clientOf(t, kAnn), topic);
  const bob = await rawMember(t, topic, { token: userToken(kBob) });
  const answer = await say(bob, topic, 'denied');
  assert.equal(answer.payload.status, 'error');
  assert.match(JSON.stringify(answer.payload.response), /permissions to write/);
  const silent = await rawMember(t, topic, { token: userToken(kBob), config: { private: true } });
  silent.push(`realtime:${topic}`, 'broadcast', { type: 'broadcast', event: 'denied', payload: {} });
  await silent.heartbeat();
  assert.equal(await (await enterPrivate(await clientOf(t, kAnn), topic)).send('end', {}), 'ok');
  await ann.broadcast('end');
  await bob.broadcast();
  assert.deepEqual(ann.heard(), [['end', {}]]);
  assert.ok(!silent.frames.some((frame) => frame.event === 'phx_reply' && frame.payload.status === 'error'));
});

test('the right to write alone does not let one in', async (t) => {
  const topic = newTopic();
  await withPolicies(t, mayWrite(topic));
  assert.equal(await refusal(await clientOf(t, kAnn), topic), mayNotRead(topic));
});

test('broadcast and presence are two rights, for reading and for writing', async (t) => {
  const topic = newTopic();
  await withPolicies(t, mayRead(topic, `extension = 'broadcast' or auth.uid() = '${kAnn}'`),
    mayWrite(topic, `extension = case when auth.uid() = '${kAnn}' then 'presence' else 'broadcast' end`));
  const presence = { ...kPrivate, presence: { enabled: true } };
  const ann = await rawMember(t, topic, { config: { ...presence, presence: { enabled: true, key: 'ann' } } });
  await ann.event('presence_state');
  const bob = await rawMember(t, topic, { token: userToken(kBob), config: presence });
  const track = (client) => client.request(`realtime:${topic}`, 'presence', { type: 'presence', event: 'track', payload: { a: 1 } });
  assert.equal((await track(ann)).payload.status, 'ok');
  assert.equal((await track(bob)).payload.status, 'error');
  assert.equal((await say(ann, topic, 'from ann')).payload.status, 'error');
  assert.equal((await say(bob, topic, 'from bob')).payload.status, 'ok');
  assert.equal((await ann.broadcast()).payload?.event ?? 'binary', 'from bob');
  await ann.heartbeat();
  await bob.heartbeat();
  assert.ok(ann.frames.some((frame) => frame.event === 'presence_diff' && frame.payload.joins.ann));
  assert.deepEqual(bob.frames.filter((frame) => /^presence_/.test(frame.event)), []);
});

test('service_role is above all policies, and a role that does not exist has no rights', async (t) => {
  const topic = newTopic();
  const service = await enterPrivate(await makeClient(t, { token: env.serviceKey }), topic);
  assert.equal(await service.send('any', {}), 'ok');
  assert.equal(await refusal(await makeClient(t, { token: makeToken({ role: 'no_such_role' }) }), topic), mayNotRead(topic));
});

test('a policy needs the privileges on the table too', async (t) => {
  const topic = newTopic();
  const role = await withRole(t);
  await withPolicies(t, mayRead(topic, 'true', 'public'), mayWrite(topic, 'true', 'public'));
  const token = makeToken({ role });
  assert.ok(!await isMember(t, topic, token));
  await sql(`grant select (id) on realtime.messages to ${role}`);
  const reader = await rawMember(t, topic, { token });
  assert.equal((await say(reader, topic, 'denied')).payload.status, 'error');
  await sql(`grant insert on realtime.messages to ${role}`);
  const writer = await rawMember(t, topic, { token });
  assert.equal((await say(writer, topic, 'allowed')).payload.status, 'ok');
});

test('policies see the claims, the headers, the present time and the row that the probe of the reference is', async (t) => {
  const topic = newTopic();
  await withPolicies(t, mayRead(topic, `auth.jwt() ->> 'team' = 'blue'
    and current_setting('request.headers', true)::jsonb ->> 'x-region' = 'test' and auth.role() = 'authenticated'
    and extract(epoch from now()) - (auth.jwt() ->> 'iat')::numeric between -1 and 60
    and extract(epoch from inserted_at) - (auth.jwt() ->> 'iat')::numeric between -1 and 60
    and id is not null and private = false and payload is null and event is null and topic = realtime.topic()`));
  const headers = { 'x-region': 'test' };
  await rawMember(t, topic, { token: userToken(kAnn, { team: 'blue' }), headers });
  assert.ok(!await isMember(t, topic, userToken(kAnn, { team: 'blue' })), 'without the header');
  const red = await RawClient.open(t, { headers });
  const reply = await red.join(`realtime:${topic}`, { config: kPrivate, token: userToken(kAnn, { team: 'red' }) });
  assert.equal(reply.payload.status, 'error');
});

test('restrictive policies and a check that comes out null', async (t) => {
  const topic = newTopic();
  await withPolicies(t, mayRead(topic), mayWrite(topic),
    `as restrictive for insert to authenticated with check (realtime.topic() is distinct from '${topic}' or extension <> 'broadcast' or
      (auth.jwt() ->> 'level')::int > 5)`);
  const answerFor = async (claims) => (await say(await rawMember(t, topic, { token: userToken(kAnn, claims) }), topic, 'x')).payload.status;
  assert.equal(await answerFor({ level: 6 }), 'ok');
  assert.equal(await answerFor({ level: 5 }), 'error');
  assert.equal(await answerFor({}), 'error', 'null is not true');
});

test('a new token that may not read any more ends the channel with the reason', async (t) => {
  const topic = newTopic();
  await withPolicies(t, mayRead(topic, `auth.jwt() ->> 'room' = realtime.topic()`));
  const client = await rawMember(t, topic, { token: userToken(kAnn, { room: topic }) });
  client.push(`realtime:${topic}`, 'access_token', { access_token: userToken(kAnn, { room: topic, again: true }) }, { join_ref: client.join_ref });
  client.push(`realtime:${topic}`, 'access_token', { access_token: userToken(kAnn, { room: 'elsewhere' }) }, { join_ref: client.join_ref });
  const system = await client.event('system');
  assert.deepEqual([system.payload.status, system.payload.message], ['error', noLonger(topic)]);
  await client.event('phx_close');
  assert.equal(client.closed, null);
});

test('a new token may take the right to write away, and leave the one to read', async (t) => {
  const topic = newTopic();
  await withPolicies(t, mayRead(topic), mayWrite(topic, "auth.jwt() ->> 'writer' = 'yes'"));
  const client = await clientOf(t, kAnn, { claims: { writer: 'yes' } });
  const room = await enterPrivate(client, topic);
  assert.equal(await room.send('first', {}), 'ok');
  await client.realtime.setAuth(userToken(kAnn, { writer: 'no' }));
  let answer;
  do { answer = await room.send('again', {}); } while (answer === 'ok');
  assert.equal(answer, 'error');
  const service = await enterPrivate(await makeClient(t, { token: env.serviceKey }), topic);
  await service.send('still heard', {});
  await room.broadcast('still heard');
});

test('a policy that raises denies its own question alone, and is logged with a hint', async (t) => {
  const topic = newTopic();
  const log = new Log();
  await withPolicies(t, mayRead(topic, `case when auth.uid() = '${kBob}' then 1 / length(left(topic, 0)) = 1 else true end`), mayWrite(topic));
  assert.equal(await refusal(await clientOf(t, kBob), topic), mayNotRead(topic));
  const ann = await enterPrivate(await clientOf(t, kAnn), topic);
  assert.equal(await ann.send('fine', {}), 'ok');
  assert.match(await log.hint('could not evaluate the policies for SELECT of table "realtime.messages"'), /Check the policies/);
});

test('a policy that needs the stored row itself denies', async (t) => {
  const topic = newTopic();
  await withPolicies(t, mayRead(topic, 'messages is not null'));
  assert.equal(await refusal(await clientOf(t, kAnn), topic), mayNotRead(topic));
});

test('a policy that sleeps is cut off with the reason, and others are answered', async (t) => {
  const topic = newTopic();
  await withPolicies(t, mayRead(topic, `case when auth.uid() = '${kBob}' then pg_sleep(60) is not null else true end`));
  assert.match(await refusal(await clientOf(t, kBob), topic), /^QueryCanceled: /);
  assert.ok(await isMember(t, topic, userToken(kAnn)));
});

const kBodies = { 'as the subscriber': '', 'SECURITY DEFINER of a role without rights': 'security definer' };
for (const [what, security] of Object.entries(kBodies)) {
  test(`a policy function gains nothing and leaves nothing behind: ${what}`, async (t) => {
    const [topic, next] = [newTopic('attacked'), newTopic('next')];
    const schema = await withSchema(t);
    const owner = await withRole(t);
    await sql(`create function ${schema}.attack() returns boolean language plpgsql ${security} as $$
      begin
        begin execute 'reset role'; exception when others then null; end;
        begin execute 'reset session authorization'; exception when others then null; end;
        begin perform set_config('role', 'postgres', false); exception when others then null; end;
        begin perform set_config('session_authorization', 'postgres', false); exception when others then null; end;
        begin perform set_config('realtime.topic', '${next}', false); exception when others then null; end;
        begin perform set_config('request.jwt.claims', '{"sub": "${kAnn}", "role": "authenticated"}', false); exception when others then null; end;
        begin perform set_config('request.jwt.claim.sub', '${kAnn}', false); exception when others then null; end;
        begin create temp table stolen (x int); exception when others then null; end;
        return current_setting('is_superuser') = 'on' or has_table_privilege('pg_catalog.pg_authid', 'select');
      end $$;
      alter function ${schema}.attack() owner to ${owner}`);
    await withPolicies(t, mayRead(topic, `${schema}.attack()`), mayWrite(topic, `${schema}.attack()`),
      mayRead(next, `auth.uid() = '${kAnn}'`), mayWrite(next, `auth.uid() = '${kAnn}'`));
    assert.ok(!await isMember(t, topic, userToken(kBob)));
    const [attacked, nextOfBob, nextOfAnn] = await Promise.all([
      isMember(t, topic, userToken(kBob)), isMember(t, next, userToken(kBob)), isMember(t, next, userToken(kAnn)),
    ]);
    assert.deepEqual([attacked, nextOfBob, nextOfAnn], [false, false, true]);
  });
}

// The snapshot that was taken before the lock shows a table that was rewritten meanwhile without a row.
test('a join that waits for a migration is answered from what is there behind it', async (t) => {
  const topic = newTopic('migrated');
  const { members, isMember } = await withMembers(t, topic);
  await withPolicies(t, mayRead(topic, isMember("'broadcast'")));
  const holder = await connect(t);
  const client = await RawClient.open(t);
  await holder.query(`begin; alter table ${members.quoted} add column id uuid default gen_random_uuid()`);
  // In the server, because the policy has no more than realtime.policy_timeout.
  const migrated = holder.query(`do 'begin
      while not exists (select from pg_locks where relation = ''${members.quoted}''::regclass and not granted) loop
        perform pg_sleep(0.005);
      end loop;
    end'; commit`);
  const { payload } = await client.join(`realtime:${topic}`, { config: kPrivate, token: userToken(kAnn) });
  await migrated;
  assert.equal(payload.status, 'ok', payload.response.reason);
});

test('a function wrongly declared IMMUTABLE is asked for each user and each topic', async (t) => {
  const [topic, other] = [newTopic('ann'), newTopic('other')];
  const schema = await withSchema(t);
  await sql(`create function ${schema}.ann_here() returns boolean language plpgsql immutable as $$
    begin return auth.uid() = '${kAnn}' and realtime.topic() = '${topic}'; end $$`);
  await withPolicies(t, `for select to authenticated using (${schema}.ann_here())`);
  for (let round = 0; round < 3; round += 1) {
    assert.ok(await isMember(t, topic, userToken(kAnn)), 'ann, here');
    assert.ok(!await isMember(t, topic, userToken(kBob)), 'bob, here');
    assert.ok(!await isMember(t, other, userToken(kAnn)), 'ann, elsewhere');
  }
});

test('a hundred users of a hundred topics at once: each gets exactly its own', async (t) => {
  const base = newTopic('own');
  const user = (i) => `77777777-7777-4777-8777-${String(i).padStart(12, '0')}`;
  await withPolicies(t, `for select to authenticated using (realtime.topic() = '${base}:' || (select auth.uid()))`);
  const client = await RawClient.open(t);
  const asked = new Map();
  for (let i = 0; i < 100; i += 1) {
    const [topic, as] = [`realtime:${base}:${user(i)}`, i % 3 === 0 ? i + 1 : i];
    const ref = String(++client.refs);
    client.push(topic, 'phx_join', { config: { private: true }, access_token: userToken(user(as)) }, { ref, join_ref: ref });
    asked.set(ref, as === i ? 'ok' : 'error');
  }
  for (let answered = 0; answered < 100; answered += 1) {
    const { ref, payload } = await client.next((frame) => frame.event === 'phx_reply', 'an answer');
    assert.equal(payload.status, asked.get(ref));
  }
});
