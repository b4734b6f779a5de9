'use strict';
// Much at once: a large transaction, many writers, many sockets.
const test = require('node:test');
const assert = require('node:assert/strict');
const { withTable, connect, sql } = require('./lib/sql');
const { makeClient, subscribe, table, kVersions } = require('./lib/clients');
const { RawClient } = require('./lib/raw');
const { userToken } = require('./lib/token');
const { waitFor } = require('./lib/wait');

const kLarge = 100000;
const kAnn = '77777777-7777-4777-8777-777777777777';
const isWhole = (ids, count) => ids.length === count && ids.every((id, i) => id === i + 1);

for (const [what, rls] of [['without RLS', undefined], ['with RLS', ['for select using ((select auth.uid()) = user_id)']]]) {
  test(`a transaction of 100,000 rows reaches a client whole and in order, and delays no heartbeat, ${what}`, async (t) => {
    const source = await withTable(t, 'id int primary key, user_id uuid, body text', { rls });
    const client = await makeClient(t, { token: userToken(kAnn) });
    const recording = await subscribe(client, table(source));
    const raw = await RawClient.open(t);
    const answeredAt = [];  // how many rows had arrived by then
    raw.socket.on('message', () => answeredAt.push(recording.events.length));
    await sql(`insert into ${source.quoted} select i, '${kAnn}', repeat('x', 100) from generate_series(1, ${kLarge}) i`);
    await waitFor(() => recording.events.length > 0, 'the first row', 60000);
    const heartbeat = raw.heartbeat();
    await waitFor(() => recording.events.length >= kLarge, () => `${kLarge} rows; saw ${recording.events.length}`, 120000);
    assert.equal((await heartbeat).payload.status, 'ok');
    assert.equal(answeredAt.length, 1);
    assert.ok(answeredAt[0] < kLarge, `answered before the last row, after ${answeredAt[0]} rows`);
    await sql(`insert into ${source.quoted} values (${kLarge + 1}, '${kAnn}')`);
    await recording.event((event) => event.new.id === kLarge + 1);
    assert.ok(isWhole(recording.values(), kLarge + 1), 'each row once, in order');
    assert.deepEqual(recording.statuses, ['SUBSCRIBED']);
  });
}

test('eight writers at once: nothing lost, nothing repeated, and every client sees the same order', async (t) => {
  const source = await withTable(t, 'id int primary key, writer int');
  const recordings = [];
  for (const vsn of kVersions) recordings.push(await subscribe(await makeClient(t, { vsn }), table(source)));
  const kEach = 250;
  await Promise.all(Array.from({ length: 8 }, async (_, writer) => {
    const client = await connect(t);
    for (let i = 0; i < kEach; i += 1) await client.query(`insert into ${source.quoted} values (${writer * kEach + i}, ${writer})`);
  }));
  for (const recording of recordings) await recording.count(8 * kEach);
  const [first, second] = recordings.map((recording) => recording.values());
  assert.equal(new Set(first).size, 8 * kEach);
  assert.deepEqual(first, second);
  for (let writer = 0; writer < 8; writer += 1) {
    const own = first.filter((id) => Math.floor(id / kEach) === writer);
    assert.deepEqual(own, [...own].sort((a, b) => a - b), `writer ${writer} in order`);
  }
});

test('200 sockets on one table all get every row', async (t) => {
  const source = await withTable(t, 'id int primary key');
  const clients = [];
  for (let i = 0; i < 200; i += 1) {
    const client = await RawClient.open(t, { vsn: kVersions[i % 2] });
    await client.listen(`realtime:many-${i % 10}`, [table(source)]);
    clients.push(client);
  }
  for (let id = 1; id <= 20; id += 1) await sql(`insert into ${source.quoted} values (${id})`);
  const ids = (client) => client.frames.filter((frame) => frame.event === 'postgres_changes').map((f) => f.payload.data.record.id);
  for (const [i, client] of clients.entries()) {
    await waitFor(() => ids(client).length >= 20, `20 rows at socket ${i}`);
    assert.ok(isWhole(ids(client), 20), `socket ${i}`);
  }
});

test('sockets that come and go in numbers leave no trace', async (t) => {
  const source = await withTable(t, 'id int primary key');
  const witness = await subscribe(await makeClient(t), table(source));
  for (let round = 0; round < 10; round += 1) {
    const batch = await Promise.all(Array.from({ length: 20 }, () => RawClient.open(t)));
    batch.forEach((client) => client.push('realtime:passing', 'phx_join', { config: { postgres_changes: [table(source)] } }));
    batch.forEach((client, i) => (i % 2 ? client.socket.terminate() : client.socket.close(1000)));
    await sql(`insert into ${source.quoted} values (${round + 1})`);
  }
  await witness.count(10);
  assert.ok(isWhole(witness.values(), 10));
});
