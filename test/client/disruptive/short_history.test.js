'use strict';
// Coming back (`since`) to a server that remembers nothing, or less than the next row: nothing was missed, so nobody is told so.
const test = require('node:test');
const assert = require('node:assert/strict');
const { withTable, rows, sql } = require('../lib/sql');
const { RawClient } = require('../lib/raw');
const { makeClient, subscribe, table, newTopic } = require('../lib/clients');
const { withSetting } = require('../lib/server');
const { userToken } = require('../lib/token');
const { waitFor } = require('../lib/wait');
const { kAnn, scene: lockScene, lock, passes } = require('../lib/locks');

const kLarge = 200000;  // bytes of a row, more than any history_size here

// A table whose rows go by, and a server that has come to remember no more than `size`.
async function scene(t, size, bytes) {
  await withSetting(t, 'realtime.history_size', size);
  const source = await withTable(t, 'id int primary key, body text');
  const witness = await subscribe(await makeClient(t), table(source));
  const insert = (id) => sql(`insert into ${source.quoted} values (${id}, repeat('x', ${kLarge}))`);
  let id = 0;
  await waitFor(async () => {
    await insert(id -= 1);
    await witness.count(-id);
    return (await rows('select history_bytes as n from realtime.stat_worker'))[0].n <= bytes;
  }, 'the setting to work');
  return { source, insert };
}

for (const [size, bytes] of [['0', 0], ['64kB', 65536]]) {
  test(`a position of now misses nothing when history_size is ${size}, however large the next rows are`, async (t) => {
    const { source, insert } = await scene(t, size, bytes);
    for (let round = 1; round <= 5; round += 1) {
      const [{ since }] = await rows('select pg_current_wal_insert_lsn() as since');
      const client = await RawClient.open(t);
      await client.listen(`realtime:${newTopic()}`, [table(source, { since })]);
      const ids = [10 * round, 10 * round + 1, 10 * round + 2];
      for (const id of ids) await insert(id);
      const seen = [];
      while (seen.at(-1) !== ids.at(-1)) {
        const frame = await client.next((one) => one.event === 'postgres_changes' || (one.event === 'system' && one.payload.status === 'error'));
        assert.equal(frame.event, 'postgres_changes', JSON.stringify(frame.payload));
        seen.push(frame.payload.data.record.id);
      }
      assert.deepEqual(seen, ids);
    }
  });
}

test('a position before a row that is not remembered is too old', async (t) => {
  const { source, insert } = await scene(t, '0', 0);
  const [{ since }] = await rows('select pg_current_wal_insert_lsn() as since');
  const witness = await subscribe(await makeClient(t), table(source));
  await insert(1);
  await witness.count(1);
  const client = await RawClient.open(t);
  await client.listen(`realtime:${newTopic()}`, [table(source, { since })]);
  assert.match((await client.event('system')).payload.message, /^Changes since .* are no longer known/);
  await insert(2);
  assert.equal((await client.change()).payload.data.record.id, 2);
});

// What waits is from before that: the client may have had some of it already.
test('who is told that changes were missed, while a table is locked, gets everything from then on and nothing from before', async (t) => {
  await withSetting(t, 'realtime.history_size', '64kB');
  const { members, guarded, free } = await lockScene(t);
  const ann = { token: userToken(kAnn) };
  const waiting = await subscribe(await makeClient(t, ann), table(guarded), { topic: newTopic('waiting') });
  const witness = await subscribe(await makeClient(t), table(free), { topic: newTopic('witness') });
  await passes(free, witness, 1);
  const holder = await lock(t, members);
  const [{ since }] = await rows('select pg_current_wal_insert_lsn() as since');
  await sql(`insert into ${guarded.quoted} values (1, 'before'), (2, 'before')`);
  const client = await RawClient.open(t);
  await client.listen(`realtime:${newTopic()}`, [table(guarded, { since })], ann);
  await sql(`insert into ${free.quoted} select generate_series(2, 3000)`);
  assert.match((await client.event('system')).payload.message, /^Changes since .* are no longer known/);
  await sql(`insert into ${guarded.quoted} values (3, 'after')`);
  await passes(free, witness, 3001);
  await holder.query('commit');
  await sql(`insert into ${guarded.quoted} values (4, 'free')`);
  assert.equal((await client.change()).payload.data.record.id, 3);
  assert.equal((await client.change()).payload.data.record.id, 4);
  await waiting.count(4);
  assert.deepEqual(waiting.values(), [1, 2, 3, 4]);
});
