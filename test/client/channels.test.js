'use strict';
// Joining and leaving: replies, order, legacy topics, limits.
const test = require('node:test');
const assert = require('node:assert/strict');
const { RawClient } = require('./lib/raw');
const { withTable, withSchema, sql, one } = require('./lib/sql');
const { makeClient, subscribe, watch, table, newTopic, kVersions } = require('./lib/clients');
const { waitFor } = require('./lib/wait');

const ok = (response = {}) => ({ status: 'ok', response });
const error = (reason) => ({ status: 'error', response: { reason } });

test('a join without bindings is answered exactly, in both versions', async (t) => {
  const topic = `realtime:${newTopic()}`;
  const two = await RawClient.open(t);
  two.text(JSON.stringify(['j', 'j', topic, 'phx_join', { config: { postgres_changes: [] } }]));
  assert.deepEqual(JSON.parse((await two.reply('j')).text), ['j', 'j', topic, 'phx_reply', ok({ postgres_changes: [] })]);
  const one = await RawClient.open(t, { vsn: '1.0.0' });
  one.text(JSON.stringify({ topic, event: 'phx_join', payload: { config: {} }, ref: 'j', join_ref: 'j' }));
  assert.deepEqual(JSON.parse((await one.reply('j')).text),
    { event: 'phx_reply', payload: ok({ postgres_changes: [] }), ref: 'j', topic });
});

test('the reply echoes every binding as it was, with an id, and `system` follows', async (t) => {
  const source = await withTable(t, 'id int primary key');
  const client = await RawClient.open(t);
  const subtopic = newTopic();
  const bindings = [
    { event: 'insert', schema: 'public', table: source.name, extra: { a: [1, null] } },
    { event: '*', schema: 'public', table: source.name, filter: ' id=eq.1 ' },
    { event: 'INSERT', schema: 'public', table: source.name, filter: '' },
  ];
  const reply = await client.join(`realtime:${subtopic}`, { bindings });
  const echo = reply.payload.response.postgres_changes;
  assert.deepEqual(echo.map(({ id, ...binding }) => binding), bindings);
  assert.ok(echo.every(({ id }) => Number.isInteger(id) && id > 0));
  assert.equal(new Set(echo.map(({ id }) => id)).size, 3);
  const system = await client.event('system');
  assert.equal(system.join_ref, reply.join_ref);
  assert.equal(system.ref, null);
  assert.deepEqual(system.payload,
    { message: 'Subscribed to PostgreSQL', status: 'ok', extension: 'postgres_changes', channel: subtopic });
});

test('equal bindings get the same id on every connection', async (t) => {
  const source = await withTable(t, 'id int primary key');
  const first = await RawClient.open(t);
  const second = await RawClient.open(t, { vsn: '1.0.0' });
  const [a] = await first.listen('realtime:one', [table(source)]);
  const [b] = await second.listen('realtime:two', [table(source)]);
  assert.equal(a, b);
});

test('leave is answered, followed by phx_close, and is idempotent', async (t) => {
  const client = await RawClient.open(t);
  const topic = `realtime:${newTopic()}`;
  const { join_ref } = await client.join(topic);
  const ref = client.push(topic, 'phx_leave', {}, { join_ref });
  const leave = await client.reply(ref);
  assert.deepEqual(JSON.parse(leave.text), [join_ref, ref, topic, 'phx_reply', ok()]);
  const close = await client.event('phx_close');
  assert.deepEqual(JSON.parse(close.text), [join_ref, join_ref, topic, 'phx_close', {}]);
  const again = await client.request(topic, 'phx_leave', {}, { join_ref });
  assert.deepEqual(again.payload, ok());
  assert.equal(again.join_ref, join_ref);
});

test('after leave nothing arrives, after rejoin everything does', async (t) => {
  const source = await withTable(t, 'id int primary key');
  const client = await RawClient.open(t);
  const topic = `realtime:${newTopic()}`;
  const first = await client.join(topic, { bindings: [table(source)] });
  await client.event('system');
  await client.request(topic, 'phx_leave', {}, { join_ref: first.join_ref });
  await sql(`insert into ${source.quoted} values (1)`);
  await client.listen(topic, [table(source)]);
  await sql(`insert into ${source.quoted} values (2)`);
  assert.equal((await client.change()).payload.data.record.id, 2);
});

test('a duplicate join is answered first, then the old instance is closed', async (t) => {
  const source = await withTable(t, 'id int primary key');
  const client = await RawClient.open(t);
  const topic = `realtime:${newTopic()}`;
  const first = await client.join(topic, { bindings: [table(source)] });
  const second = await client.join(topic, { bindings: [table(source)] });
  assert.equal(second.payload.status, 'ok');
  const close = await client.event('phx_close');
  assert.deepEqual([close.join_ref, close.ref], [first.join_ref, first.join_ref]);
  const live = (frame) => frame.event === 'system' && frame.join_ref === second.join_ref;
  await waitFor(() => client.frames.some(live), 'the second subscription');
  await sql(`insert into ${source.quoted} values (1)`);
  await sql(`insert into ${source.quoted} values (2)`);
  const received = () => client.frames.filter((frame) => frame.event === 'postgres_changes').map((f) => f.payload.data.record.id);
  await waitFor(() => received().includes(2), 'the second row');
  assert.deepEqual(received(), [1, 2]);
});

test('a leave with an old join_ref is ignored', async (t) => {
  const source = await withTable(t, 'id int primary key');
  const client = await RawClient.open(t);
  const topic = `realtime:${newTopic()}`;
  await client.listen(topic, [table(source)]);
  const ref = client.push(topic, 'phx_leave', {}, { join_ref: 'not mine' });
  await sql(`insert into ${source.quoted} values (1)`);
  await client.change();
  await client.heartbeat();
  assert.ok(!client.frames.some((frame) => frame.event === 'phx_reply' && frame.ref === ref));
});

test('topics that are not joined, or not realtime:*, are unmatched', async (t) => {
  const client = await RawClient.open(t);
  for (const [topic, event] of [['other:x', 'phx_join'], ['other:x', 'hello'], ['realtime:not-joined', 'broadcast'], ['phoenix', 'x']]) {
    const reply = await client.request(topic, event, {}, { join_ref: null });
    assert.deepEqual(reply.payload, error('unmatched topic'), `${event} on ${topic}`);
    assert.equal(reply.join_ref, null);
  }
});

test('an empty topic name is refused', async (t) => {
  const client = await RawClient.open(t);
  const reply = await client.join('realtime:');
  assert.deepEqual(reply.payload, error('TopicNameRequired: You must provide a topic name'));
});

test('joins with wrong types inside are tolerated', async (t) => {
  const client = await RawClient.open(t);
  const configs = [
    { broadcast: 'yes', presence: 7, private: null, postgres_changes: null },
    { broadcast: [], presence: { key: 12, enabled: 'maybe' }, postgres_changes: [null, null] },
    { postgres_changes: 'all', private: 'no' },
  ];
  for (const config of configs) {
    const reply = await client.join(`realtime:${newTopic()}`, { payload: { config, access_token: null } });
    assert.deepEqual(reply.payload, ok({ postgres_changes: [] }), JSON.stringify(config));
  }
});

test('topics are escaped where they return', async (t) => {
  const client = await RawClient.open(t);
  const subtopic = `"quoted" \\ back\u0001slash äöü 😀 ${newTopic()}`;
  const source = await withTable(t, 'id int primary key');
  await client.listen(`realtime:${subtopic}`, [table(source)]);
  const system = client.frames.find((frame) => frame.event === 'system');
  assert.equal(system.payload.channel, subtopic);
  await sql(`insert into ${source.quoted} values (1)`);
  assert.equal((await client.change()).topic, `realtime:${subtopic}`);
});

test('the 100th channel of a connection is served, the 101st refused', async (t) => {
  const client = await RawClient.open(t);
  const prefix = newTopic();
  for (let i = 1; i <= 100; i += 1) assert.equal((await client.join(`realtime:${prefix}-${i}`)).payload.status, 'ok', `channel ${i}`);
  const reply = await client.join(`realtime:${prefix}-101`);
  assert.deepEqual(reply.payload, error('ChannelRateLimitReached: Too many channels'));
  await client.request(`realtime:${prefix}-1`, 'phx_leave', {}, { join_ref: '1' });
  assert.equal((await client.join(`realtime:${prefix}-101`)).payload.status, 'ok');
});

const kLegacy = [
  ['schema and table', (source) => `${source.schema}:${source.name}`],
  ['schema, table and filter', (source) => `${source.schema}:${source.name}:id=eq.2`],
];
for (const vsn of kVersions) {
  for (const [what, topicOf] of kLegacy) {
    test(`legacy join without config: ${what}, vsn ${vsn}`, async (t) => {
      const source = await withTable(t, 'id int primary key, body text');
      const client = await RawClient.open(t, { vsn });
      const topic = `realtime:${topicOf(source)}`;
      const reply = await client.join(topic, { payload: {} });
      assert.equal(reply.payload.status, 'ok');
      assert.equal(reply.payload.response.postgres_changes.length, 1);
      assert.equal((await client.event('system')).payload.status, 'ok');
      await sql(`insert into ${source.quoted} values (2, 'x')`);
      const insert = await client.event('INSERT');
      assert.equal(insert.topic, topic);
      assert.deepEqual(insert.payload.record, { id: 2, body: 'x' });
      assert.equal(insert.payload.type, 'INSERT');
      assert.equal(insert.payload.ids, undefined);
      await sql(`delete from ${source.quoted}`);
      assert.deepEqual((await client.event('DELETE')).payload.old_record, { id: 2 });
    });
  }
}

test('a legacy join of a whole schema', async (t) => {
  const schema = await withSchema(t);
  const source = await withTable(t, 'id int primary key', { schema });
  const client = await RawClient.open(t, { vsn: '1.0.0' });
  assert.equal((await client.join(`realtime:${schema}`, { payload: {} })).payload.status, 'ok');
  assert.equal((await client.event('system')).payload.status, 'ok');
  await sql(`insert into ${source.quoted} values (1)`);
  assert.equal((await client.event('INSERT')).payload.table, source.name);
});

test('events of features that a channel does not use are ignored without harm', async (t) => {
  const source = await withTable(t, 'id int primary key');
  const client = await RawClient.open(t);
  const topic = `realtime:${newTopic()}`;
  await client.listen(topic, [table(source)]);
  client.push(topic, 'no_such_event', { a: 1 });
  client.push(topic, 'access_token', {});
  client.push(topic, 'access_token', { access_token: 5 });
  client.push(topic, 'access_token', { access_token: null });
  client.push(topic, 'access_token', { access_token: 'sb_publishable_abc' });
  await sql(`insert into ${source.quoted} values (1)`);
  assert.equal((await client.change()).payload.data.record.id, 1);
  assert.ok(!client.frames.some((frame) => frame.event === 'phx_close' || frame.event === 'phx_error'));
});

for (const vsn of kVersions) {
  test(`supabase-js ${vsn}: subscribe, unsubscribe, subscribe again on one connection`, async (t) => {
    const source = await withTable(t, 'id int primary key');
    const client = await makeClient(t, { vsn });
    // Without any channel the older client closes its socket, and does not open another one while it closes.
    watch(client, []);
    const first = await subscribe(client, table(source));
    assert.equal(await client.removeChannel(first.channel), 'ok');
    await first.status('CLOSED');
    const second = await subscribe(client, table(source));
    await sql(`insert into ${source.quoted} values (1)`);
    await second.count(1);
    assert.equal(first.events.length, 0);
    assert.equal(second.events[0].new.id, 1);
  });
}

test('leaving while the join is still pending is answered and leaves nothing behind', async (t) => {
  const source = await withTable(t, 'id int primary key');
  const client = await RawClient.open(t);
  const topic = `realtime:${newTopic()}`;
  for (let i = 0; i < 20; i += 1) {
    client.push(topic, 'phx_join', { config: { postgres_changes: [table(source)] } }, { ref: `j${i}`, join_ref: `j${i}` });
    client.push(topic, 'phx_leave', {}, { ref: `l${i}`, join_ref: `j${i}` });
  }
  await client.reply('l19');
  assert.deepEqual((await client.heartbeat()).payload, ok());
  await client.listen(topic, [table(source)]);
  await sql(`insert into ${source.quoted} values (1)`);
  await sql(`insert into ${source.quoted} values (2)`);
  const seen = () => client.frames.filter((frame) => frame.event === 'postgres_changes').map((f) => f.payload.data.record.id);
  await waitFor(() => seen().includes(2), 'the second row');
  assert.deepEqual(seen(), [1, 2]);
});

test('one statement after SUBSCRIBED is never missed', async (t) => {
  const source = await withTable(t, 'id int primary key');
  for (let round = 1; round <= 10; round += 1) {
    const client = await makeClient(t);
    const recording = watch(client, table(source));
    await recording.status('SUBSCRIBED');
    await sql(`insert into ${source.quoted} values (${round})`);
    await recording.event((event) => event.new.id === round, `row ${round}`);
    assert.deepEqual(recording.values(), [round], 'nothing from before the subscription');
  }
  assert.equal(Number(await one(`select count(*) from ${source.quoted}`)), 10);
});
