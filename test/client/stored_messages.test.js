'use strict';
// Messages of private channels that are rows of realtime.messages: replayed to those who join later, and stored on request.
const test = require('node:test');
const assert = require('node:assert/strict');
const env = require('./lib/env');
const { withRole, sql, rows, one, uniqueName } = require('./lib/sql');
const { cleanup } = require('./lib/cleanup');
const { withPolicies, mayRead, mayWrite } = require('./lib/policies');
const { makeClient, newTopic, kVersions, kNewest } = require('./lib/clients');
const { RawClient } = require('./lib/raw');
const { Room, enter } = require('./lib/room');
const { pushFrame, readDelivered, kBytes } = require('./lib/binary');
const { userToken, makeToken } = require('./lib/token');

const kAnn = '88888888-8888-4888-8888-888888888881';
const kBob = '88888888-8888-4888-8888-888888888882';
const kPrivate = { private: true, broadcast: { ack: true } };
const kMinute = 60 * 1000;

const clientOf = (t, user, options = {}) => makeClient(t, { token: userToken(user), ...options });
const replaying = (since, limit) => ({ private: true, broadcast: { replay: { since, ...(limit ? { limit } : {}) } } });
const send = (topic, event, payload, isPrivate = true) => sql('select realtime.send($1::jsonb, $2, $3, $4)', [JSON.stringify(payload), event, topic, isPrivate]);
const storedOf = (topic) => rows(`select id, event, payload, binary_payload, private, extension, expires_at,
  extract(epoch from expires_at - inserted_at)::float8 as life from realtime.messages where topic = $1 order by inserted_at`, [topic]);
const numbers = (room) => room.broadcasts.map(({ payload }) => payload.n);

// A topic that everybody may read and only ann may write to.
async function withRoom(t) {
  const topic = newTopic('stored');
  await withPolicies(t, mayRead(topic), mayWrite(topic, `auth.uid() = '${kAnn}'`));
  return topic;
}

// What has been stored so far would else still come from the stream, unreplayed, to those who join now.
async function streamed(t) {
  const topic = newTopic('streamed');
  const room = await enter(await makeClient(t), topic, { config: { broadcast: { replication_ready: true } } });
  await room.ready();
  await send(topic, 'here', {}, false);
  await room.broadcast('here');
}

async function rawMember(t, topic, { token = userToken(kAnn), config = kPrivate, ...options } = {}) {
  const client = await RawClient.open(t, options);
  const reply = await client.join(`realtime:${topic}`, { config, token });
  assert.equal(reply.payload.status, 'ok', reply.text);
  return Object.assign(client, { join_ref: reply.join_ref });
}

for (const vsn of kVersions) {
  test(`replay: the newest messages of the topic since a time, oldest first, marked as such: vsn ${vsn}`, async (t) => {
    const topic = await withRoom(t);
    const since = Date.now() - kMinute;
    for (let n = 0; n < 6; n += 1) await send(topic, 'ev', { n });
    await send(topic, 'public', { n: 100 }, false);
    await send(`${topic}-2`, 'elsewhere', { n: 101 });
    await streamed(t);
    const room = await enter(await clientOf(t, kBob, { vsn }), topic, { config: replaying(since, 4) });
    await room.count(4);
    await send(topic, 'live', { n: 6 });
    await room.broadcast('live');
    assert.deepEqual(numbers(room), [2, 3, 4, 5, 6]);
    const stored = await storedOf(topic);
    const replayed = room.broadcasts.slice(0, 4);
    assert.deepEqual(replayed.map(({ meta }) => meta.replayed), [true, true, true, true]);
    for (const { meta, payload } of replayed) assert.deepEqual(stored.find(({ id }) => id === meta.id).payload, payload);
    assert.equal(room.broadcasts[4].meta?.replayed, undefined);
  });
}

test('replay: not what is older than asked for, expired, of presence, or dated in the future; 25 at most', async (t) => {
  const topic = await withRoom(t);
  await sql(`insert into realtime.messages (topic, extension, event, payload, private, inserted_at, expires_at)
    select $1, ext, 'ev', jsonb_build_object('n', n), true, now() at time zone 'utc' + age, now() at time zone 'utc' + life
      from (values ('broadcast', 1, interval '-1 hour', null), ('broadcast', 2, '-1 second', interval '-1 second'), ('presence', 3, '-1 second', null),
                   ('broadcast', 4, '1 hour', null), ('broadcast', 5, '-1 second', '1 hour')) v(ext, n, age, life)`, [topic]);
  await streamed(t);
  const room = await enter(await clientOf(t, kBob), topic, { config: replaying(Date.now() - kMinute) });
  await room.count(1);
  await sql(`insert into realtime.messages (topic, extension, event, payload, private)
    select $1, 'broadcast', 'many', jsonb_build_object('n', n), true from generate_series(1, 40) n`, [topic]);
  await room.count(41);
  const later = await enter(await clientOf(t, kBob), topic, { config: replaying(Date.now() - kMinute, 25) });
  await later.count(25);
  await send(topic, 'end', {});
  await room.broadcast('end');
  await later.broadcast('end');
  assert.equal(room.broadcasts[0].payload.n, 5);
  assert.deepEqual(numbers(later).slice(0, 25), Array.from({ length: 25 }, (_, i) => 16 + i));
  assert.equal(later.broadcasts.length, 26);
});

test('replay: a message that is replayed does not come a second time from the stream', async (t) => {
  const topic = await withRoom(t);
  const since = Date.now() - kMinute;
  await enter(await clientOf(t, kAnn), topic, { config: kPrivate });  // the stream is there
  for (let n = 0; n < 20; n += 1) {
    const writing = send(topic, 'ev', { n });
    const room = new Room(await clientOf(t, kBob), topic, { config: replaying(since, 25) });
    await writing;
    await room.status('SUBSCRIBED');
    await send(topic, `end ${n}`, {});
    await room.broadcast(`end ${n}`);
    assert.deepEqual(numbers(room).filter((seen) => seen === n), [n], `round ${n}: ${room.describe()}`);
  }
});

test('replay: bytes come as bytes, and not at all to version 1.0.0', async (t) => {
  const topic = await withRoom(t);
  const since = Date.now() - kMinute;
  await sql("select realtime.send_binary('\\x00ff0a80', 'bytes', $1)", [topic]);
  await send(topic, 'text', {});
  const client = await rawMember(t, topic, { config: replaying(since) });
  const { binary } = await client.broadcast();
  const message = readDelivered(binary);
  assert.deepEqual([message.event, message.encoding, message.payload.toString('hex')], ['bytes', kBytes, '00ff0a80']);
  assert.equal(JSON.parse(message.metadata).replayed, true);
  const old = await enter(await clientOf(t, kBob, { vsn: '1.0.0' }), topic, { config: replaying(since) });
  await old.broadcast('text');
  assert.deepEqual(old.broadcasts.map(({ event }) => event), ['text']);
});

// The policies are asked about each message, as of any row that the role reads, not about the channel alone.
test('replay: only what the policies show the reader', async (t) => {
  const topic = newTopic('joined_later');
  const members = uniqueName('members_');
  cleanup(t, () => sql(`drop table if exists ${members} cascade`));
  await sql(`create table ${members} (user_id uuid, joined_at timestamp); grant select on ${members} to authenticated;
    insert into ${members} values ('${kAnn}', '-infinity'), ('${kBob}', now() at time zone 'utc' - interval '10 seconds')`);
  await withPolicies(t, mayRead(topic, `coalesce(event, '') <> 'secret' and exists (select from ${members} m
    where m.user_id = auth.uid() and messages.inserted_at >= m.joined_at)`));
  await sql(`insert into realtime.messages (topic, extension, event, payload, private, inserted_at)
    select $1, 'broadcast', case n when 4 then 'secret' else 'ev' end, jsonb_build_object('n', n), true,
           now() at time zone 'utc' - (6 - n) * interval '8 seconds' from generate_series(1, 5) n`, [topic]);
  await streamed(t);
  for (const [user, wanted] of [[kAnn, [1, 2, 3, 5]], [kBob, [5]]]) {
    const room = await enter(await clientOf(t, user), topic, { config: replaying(Date.now() - kMinute) });
    await send(topic, 'end', { n: 6 });
    await room.broadcast('end');
    assert.deepEqual(numbers(room).filter((n) => n < 6), wanted, user);
  }
});

test('replay: a policy that fails, or takes too long, for a message refuses the join as every failed replay does', async (t) => {
  const topic = newTopic('fails');
  for (const [event, what] of [['bad', '1 / (length(event) - 3) = 1'], ['slow', "pg_sleep(60) is null"]]) {
    const name = `${topic}-${event}`;
    await sql("insert into realtime.messages (topic, extension, event, payload, private) values ($1, 'broadcast', $2, '{}', true)", [name, event]);
    await withPolicies(t, mayRead(name, `case event when '${event}' then ${what} else true end`));
    const client = await RawClient.open(t);
    const join = async (config) => (await client.join(`realtime:${name}`, { config, token: userToken(kAnn) })).payload;
    assert.equal((await join(replaying(Date.now() - kMinute))).response.reason, 'UnableToReplayMessages: Realtime was unable to replay messages');
    assert.equal((await join(kPrivate)).status, 'ok');
  }
});

test('replay: refused without the right to read broadcasts, and with wrong parameters', async (t) => {
  const topic = newTopic('presence_only');
  await withPolicies(t, mayRead(topic, "extension = 'presence'"));
  const ask = async (replay, isPrivate = true) => {
    const client = await RawClient.open(t);
    return (await client.join(`realtime:${topic}`, { config: { private: isPrivate, broadcast: { replay } }, token: userToken(kAnn) })).payload;
  };
  assert.equal((await ask(null)).status, 'ok');
  const reason = async (...args) => (await ask(...args)).response.reason;
  assert.match(await reason({ since: Date.now() }), /^Unauthorized: /);
  assert.equal(await reason({ since: 'yesterday' }), 'UnableToReplayMessages: Replay params are not valid');
  assert.equal(await reason({ since: 1 }, false), 'UnableToReplayMessages: Replay is not allowed for public channels');
});

test('persist: a message is stored with the rights of its sender and delivered once, with its id', async (t) => {
  const topic = await withRoom(t);
  const reader = await enter(await clientOf(t, kBob), topic, { config: kPrivate });
  const ann = await enter(await clientOf(t, kAnn, { library: kNewest }), topic, { config: kPrivate });
  assert.equal(await ann.send('kept', { n: 1, big: 2 ** 53 }, { persist: true }), 'ok');
  assert.equal(await ann.send('kept for a minute', { n: 2 }, { persist: { ttl: 60 } }), 'ok');
  assert.equal(await ann.send('passing', { n: 3 }), 'ok');
  await send(topic, 'end', { n: 4 });
  await reader.broadcast('end');
  assert.deepEqual(numbers(reader), [1, 2, 3, 4]);
  const stored = await storedOf(topic);
  assert.deepEqual(stored.map(({ event, payload }) => [event, payload.n]), [['kept', 1], ['kept for a minute', 2], ['end', 4]]);
  assert.deepEqual(stored.map(({ private: isPrivate, extension }) => [isPrivate, extension]), Array(3).fill([true, 'broadcast']));
  assert.deepEqual(reader.broadcasts.slice(0, 2).map(({ meta }) => meta.id), stored.slice(0, 2).map(({ id }) => id));
  assert.equal(stored[0].expires_at, null);
  assert.ok(Math.abs(stored[1].life - 60) < 5, `life ${stored[1].life}`);
  assert.deepEqual(ann.broadcasts.map(({ event }) => event), ['end']);
  const later = await enter(await clientOf(t, kBob), topic, { config: replaying(Date.now() - kMinute) });
  await later.count(3);
  assert.deepEqual(numbers(later), [1, 2, 4]);
});

test('persist: bytes are stored as they are, and text that jsonb cannot hold is refused with the reason', async (t) => {
  const topic = await withRoom(t);
  const ann = await rawMember(t, topic);
  const push = (frame) => {
    const ref = String(++ann.refs);
    ann.socket.send(pushFrame({ join_ref: ann.join_ref, ref, topic: `realtime:${topic}`, metadata: '{"persist":true}', ...frame }));
    return ann.reply(ref);
  };
  assert.equal((await push({ event: 'bytes', encoding: kBytes, payload: Buffer.from('00ff80', 'hex') })).payload.status, 'ok');
  assert.equal((await push({ event: 'digits', payload: '{"n":1.10}' })).payload.status, 'ok');
  const refused = await push({ event: 'nul', payload: '{"n":"\\u0000"}' });
  assert.equal(refused.payload.status, 'error');
  assert.match(JSON.stringify(refused.payload.response), /unsupported Unicode escape sequence/);
  const stored = await rows(`select event, encode(binary_payload, 'hex') as hex, payload::text from realtime.messages where topic = '${topic}' order by inserted_at`);
  assert.deepEqual(stored, [{ event: 'bytes', hex: '00ff80', payload: null }, { event: 'digits', hex: null, payload: '{"n": 1.10}' }]);
});

test('persist: who may not write stores nothing and is told so', async (t) => {
  const topic = await withRoom(t);
  const bob = await enter(await clientOf(t, kBob, { library: kNewest }), topic, { config: kPrivate });
  assert.notEqual(await bob.send('denied', {}, { persist: true }), 'ok');
  assert.deepEqual(await storedOf(topic), []);
});

// The check of the row itself knows the payload, which the check of the channel does not.
test('persist: a policy may look at what is stored', async (t) => {
  const topic = newTopic('moderated');
  await withPolicies(t, mayRead(topic), mayWrite(topic, "payload is null or payload ->> 'text' <> 'bad'"));
  const reader = await enter(await clientOf(t, kBob), topic, { config: kPrivate });
  const ann = await enter(await clientOf(t, kAnn, { library: kNewest }), topic, { config: kPrivate });
  assert.match(await ann.send('said', { text: 'bad' }, { persist: true }), /permissions to write/);
  assert.equal(await ann.send('said', { text: 'good' }, { persist: true }), 'ok');
  await reader.broadcast('said');
  assert.deepEqual(reader.heard(), [['said', { text: 'good' }]]);
});

// Partitions are tables of every test: the trigger speaks of one topic only.
test('persist: triggers run as the sender, those that wait for the commit too', async (t) => {
  const topic = await withRoom(t);
  const [audit, trigger] = [uniqueName('audit_'), uniqueName('trigger_')];
  cleanup(t, () => sql(`drop function if exists ${trigger}() cascade; drop table if exists ${audit}`));
  await sql(`create table ${audit} (who name, super text, topic text); grant insert on ${audit} to authenticated;
    create function ${trigger}() returns trigger language plpgsql as $$
      begin
        begin execute 'reset role'; exception when others then null; end;
        if new.topic = '${topic}' then
          insert into ${audit} values (current_user, current_setting('is_superuser'), realtime.topic());
        end if;
        begin execute 'set constraints all deferred'; exception when others then null; end;
        return null;
      end $$`);
  const ann = await enter(await clientOf(t, kAnn, { library: kNewest }), topic, { config: kPrivate });
  assert.equal(await ann.send('first', {}, { persist: true }), 'ok');
  const table = await one(`select tableoid::regclass::text from realtime.messages where topic = '${topic}'`);
  await sql(`create constraint trigger ${trigger} after insert on ${table} deferrable initially deferred for each row execute function ${trigger}()`);
  assert.equal(await ann.send('second', {}, { persist: true }), 'ok');
  assert.deepEqual(await rows(`select * from ${audit}`), [{ who: 'authenticated', super: 'off', topic }]);
});

test('persist: a role without INSERT on the table is refused, service_role needs no policy', async (t) => {
  const topic = newTopic('roles');
  const role = await withRole(t);
  await sql(`grant select on realtime.messages to ${role}`);
  await withPolicies(t, mayRead(topic, 'true', 'public'), mayWrite(topic, 'true', 'public'));
  const poor = await enter(await makeClient(t, { library: kNewest, token: makeToken({ role }) }), topic, { config: kPrivate });
  assert.notEqual(await poor.send('denied', {}, { persist: true }), 'ok');
  const service = await enter(await makeClient(t, { library: kNewest, token: env.serviceKey }), topic, { config: kPrivate });
  assert.equal(await service.send('kept', {}, { persist: true }), 'ok');
  await poor.broadcast('kept');
  assert.deepEqual((await storedOf(topic)).map(({ event }) => event), ['kept']);
});
