'use strict';
// How long the policies' answer counts, a database whose extension is older than the library, and one without public
// channels. Each test has a server of its own.
const test = require('node:test');
const assert = require('node:assert/strict');
const { Cluster } = require('../lib/cluster');
const { pushFrame, readDelivered } = require('../lib/binary');
const { makeToken } = require('../lib/token');
const { waitFor } = require('../lib/wait');

const kConfig = { private: true, broadcast: { ack: true } };
const tokenFor = (cluster, claims = {}) => makeToken(claims, { secret: cluster.env.JWT_SECRET });
const noLonger = (topic) => `You no longer have permission to read from this Channel topic: ${topic}`;

async function join(t, cluster, topic, token = tokenFor(cluster)) {
  const client = await cluster.client(t);
  const reply = await client.join(`realtime:${topic}`, { config: kConfig, token });
  return Object.assign(client, { status: reply.payload.status });
}
const say = (client, topic) => client.request(`realtime:${topic}`, 'broadcast', { type: 'broadcast', event: 'x', payload: {} });

const kPolicies = `create table members (topic text, may_write boolean);
  insert into members values ('a', true), ('b', true);
  grant select on members to authenticated;
  create policy r on realtime.messages for select to authenticated using (realtime.topic() in (select topic from members));
  create policy w on realtime.messages for insert to authenticated with check (realtime.topic() in (select topic from members where may_write));`;

test('a membership that ends counts within realtime.authorization_ttl, and so does a right to write', async (t) => {
  const cluster = await Cluster.start(t, 'realtime.authorization_ttl = 1s');
  await cluster.sql(kPolicies);
  await cluster.serving();
  const [a, b] = [await join(t, cluster, 'a'), await join(t, cluster, 'b')];
  assert.deepEqual([a.status, b.status], ['ok', 'ok']);
  await cluster.sql("delete from members where topic = 'a'; update members set may_write = false where topic = 'b'");
  assert.equal((await a.event('system')).payload.message, noLonger('a'));
  await a.event('phx_close');
  await waitFor(async () => (await say(b, 'b')).payload.status === 'error', 'the right to write to end');
  await cluster.sql("update members set may_write = true where topic = 'b'");
  await waitFor(async () => (await say(b, 'b')).payload.status === 'ok', 'the right to write to come back');
  await cluster.sql('drop policy r on realtime.messages');
  assert.equal((await b.event('system')).payload.message, noLonger('b'));
});

test('without table realtime.messages private channels are refused, and the log says what to do', async (t) => {
  const cluster = await Cluster.start(t);
  await cluster.sql(`${kPolicies} alter table realtime.messages rename to of_another_version`);
  await cluster.serving();
  assert.equal((await join(t, cluster, 'a')).status, 'error');
  assert.match(await cluster.log.hint('table "realtime.messages" does not exist'), /ALTER EXTENSION realtime UPDATE/);
  await cluster.sql('alter table realtime.of_another_version rename to messages');
  assert.equal((await join(t, cluster, 'a')).status, 'ok');
});

test('realtime.private_only: public channels are refused from the reload on, private ones are judged as before', async (t) => {
  const cluster = await Cluster.start(t);
  await cluster.sql(kPolicies);
  await cluster.serving();
  const client = await cluster.client(t);
  const member = await join(t, cluster, 'a');
  await cluster.set('realtime.private_only', 'on');
  await waitFor(async () => (await client.join('realtime:open')).payload.status === 'error', 'public channels to be refused');
  const refused = await client.join('realtime:open');
  assert.deepEqual(refused.payload.response, { reason: 'PrivateOnly: This project only allows private channels' });
  assert.equal((await join(t, cluster, 'b')).status, 'ok');
  assert.equal((await say(member, 'a')).payload.status, 'ok');
});

test('a stored message that a trigger changes is delivered as it was stored, and once', async (t) => {
  const cluster = await Cluster.start(t);
  await cluster.sql(`${kPolicies}
    create function redact() returns trigger language plpgsql as $$
      begin new.payload := '{"redacted": true}'; new.id := gen_random_uuid(); return new; end $$;
    create trigger redact before insert on realtime.messages for each row execute function redact();`);
  await cluster.serving();
  const [reader, writer] = [await join(t, cluster, 'a'), await join(t, cluster, 'a')];
  writer.socket.send(pushFrame({ ref: '77', topic: 'realtime:a', event: 'said', metadata: '{"persist":true}', payload: '{"secret":1}' }));
  assert.equal((await writer.reply('77')).payload.status, 'ok');
  assert.equal(readDelivered((await reader.broadcast()).binary).payload.toString(), '{"redacted": true}');
  assert.equal((await say(writer, 'a')).payload.status, 'ok');
  assert.equal((await reader.broadcast()).event, 'broadcast', 'a second copy');
});
