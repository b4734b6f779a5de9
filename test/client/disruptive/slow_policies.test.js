'use strict';
// Policies of private channels that are slow for one user, and a table of messages that somebody has locked: neither may hold
// up the others. Each test has a server of its own.
const test = require('node:test');
const assert = require('node:assert/strict');
const { Client } = require('pg');
const { cleanup } = require('../lib/cleanup');
const { Cluster } = require('../lib/cluster');
const { makeToken } = require('../lib/token');
const { waitFor } = require('../lib/wait');

const kConfig = { private: true, broadcast: { ack: true, self: true } };
const tokenFor = (cluster, sub, claims = {}) => makeToken({ sub, ...claims }, { secret: cluster.env.JWT_SECRET });
const kSlow = '00000000-0000-4000-8000-000000000001';
const kFast = '00000000-0000-4000-8000-000000000002';

// Slow for one user as long as the table says so, and for tokens that say so.
const kPolicies = `create table mood (slow boolean); insert into mood values (true); grant select on mood to authenticated;
  create function pass() returns boolean language plpgsql as $$
    begin
      if auth.jwt() ->> 'sleepy' = 'yes' or (select slow from mood) and auth.uid() = '${kSlow}' then perform pg_sleep(60); end if;
      return true;
    end $$;
  create policy r on realtime.messages for select to authenticated using (pass());
  create policy w on realtime.messages for insert to authenticated with check (auth.jwt() ->> 'mute' is null);`;

// Pushes a join without waiting for its answer; returns its ref.
function pushJoin(client, topic, token) {
  const ref = String(++client.refs);
  return client.push(`realtime:${topic}`, 'phx_join', { config: kConfig, access_token: token }, { ref, join_ref: ref });
}
const repliesOf = (client, refs) => client.frames.filter((frame) => frame.event === 'phx_reply' && refs.includes(frame.ref));
const replyTo = (client, ref) => waitFor(() => repliesOf(client, [ref])[0], `the reply to ${ref}`);

test('a fast private join does not wait for slow ones', async (t) => {
  const cluster = await Cluster.start(t);
  await cluster.sql(kPolicies);
  await cluster.serving();
  const client = await cluster.client(t);
  const slow = Array.from({ length: 12 }, (_, index) => pushJoin(client, `slow${index}`, tokenFor(cluster, kSlow)));
  const fast = pushJoin(client, 'fast', tokenFor(cluster, kFast));
  assert.equal((await replyTo(client, fast)).payload.status, 'ok');
  assert.ok(repliesOf(client, slow).length < 3, `${repliesOf(client, slow).length} slow joins were answered before`);
  await waitFor(() => repliesOf(client, slow).length === slow.length, 'an answer to each slow join');
  for (const reply of repliesOf(client, slow)) assert.match(reply.payload.response.reason, /^QueryCanceled: /);
  assert.equal((await client.heartbeat()).payload.status, 'ok');
});

test('a user whose policies were slow is served again, and what is sent behind a new token waits for its answer', async (t) => {
  const cluster = await Cluster.start(t);
  await cluster.sql(`${kPolicies} update mood set slow = false`);
  await cluster.serving();
  const client = await cluster.client(t);
  const [token, mute] = [tokenFor(cluster, kSlow), tokenFor(cluster, kSlow, { mute: 'yes' })];
  assert.equal((await replyTo(client, pushJoin(client, 'member', token))).payload.status, 'ok');
  await cluster.sql('update mood set slow = true');
  assert.equal((await replyTo(client, pushJoin(client, 'a', mute))).payload.status, 'error');
  await cluster.sql('update mood set slow = false');
  // While the worker is busy: a message to be stored, so that those behind it take its way, and a token that may not write.
  const busy = pushJoin(client, 'b', tokenFor(cluster, kFast, { sleepy: 'yes' }));
  const say = (event, extra = {}) => client.push('realtime:member', 'broadcast', { type: 'broadcast', event, payload: {}, ...extra });
  const refs = [say('one', { persist: true }), say('two')];
  client.push('realtime:member', 'access_token', { access_token: mute });
  refs.push(say('three'), say('four'));
  for (const ref of [busy, ...refs]) await replyTo(client, ref);
  assert.deepEqual(repliesOf(client, refs).map((frame) => [frame.ref, frame.payload.status]),
    refs.map((ref, index) => [ref, index < 2 ? 'ok' : 'error']));
  const heard = client.frames.filter((frame) => frame.event === 'broadcast').map((frame) => frame.payload.event);
  assert.deepEqual(heard, ['one', 'two']);
  assert.equal((await replyTo(client, pushJoin(client, 'c', mute))).payload.status, 'ok');
});

test('private joins are refused at once while realtime.messages is locked, and work again afterwards', async (t) => {
  const cluster = await Cluster.start(t, 'realtime.policy_timeout = 60s\nrealtime.authorization_ttl = 1s');
  await cluster.sql(kPolicies);
  await cluster.serving();
  const token = tokenFor(cluster, kFast);
  const client = await cluster.client(t);
  assert.equal((await client.join('realtime:before', { config: kConfig, token })).payload.status, 'ok');
  const locker = new Client({ host: cluster.env.PGHOST, port: Number(cluster.env.PGPORT), user: cluster.env.PGUSER, database: 'postgres' });
  locker.on('error', () => {});
  await locker.connect();
  cleanup(t, () => locker.end().catch(() => {}));
  await locker.query('begin; lock table realtime.messages in access exclusive mode');
  // With such a time-out, an answer means that nobody waited for the lock.
  const refused = Array.from({ length: 5 }, (_, index) => pushJoin(client, `during${index}`, token));
  for (const ref of refused) {
    const reply = await replyTo(client, ref);
    assert.equal(reply.payload.response.reason, 'QueryCanceled: ERROR 55P03 (lock_not_available) realtime.messages is locked');
  }
  await waitFor(() => client.frames.some((frame) => frame.event === 'phx_error' && frame.topic === 'realtime:before'),
    'the end of the channel whose rights cannot be asked for again');
  assert.match(await cluster.log.hint('could not lock table "realtime.messages"'), /ACCESS EXCLUSIVE/);
  await locker.query('rollback');
  assert.equal((await client.join('realtime:after', { config: kConfig, token })).payload.status, 'ok');
});
