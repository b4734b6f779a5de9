'use strict';
// The database's broadcasts while the change stream breaks, and while publications come and go. Each test has a server of
// its own.
const test = require('node:test');
const assert = require('node:assert/strict');
const { cleanup } = require('../lib/cleanup');
const { Cluster } = require('../lib/cluster');
const { waitFor } = require('../lib/wait');

const kTopic = 'realtime:news';
const kReady = { broadcast: { replication_ready: true } };
const kWalsender = "select pid from pg_stat_replication where application_name = 'realtime'";

async function listen(t, cluster) {
  await cluster.serving();
  const raw = await cluster.client(t, { vsn: '1.0.0' });
  assert.equal((await raw.join(kTopic, { config: kReady })).payload.status, 'ok');
  await raw.next((frame) => frame.payload.message === 'Replication connection established', 'the notice');
  return raw;
}

const numbers = (raw) => raw.frames.filter((frame) => frame.event === 'broadcast').map((frame) => frame.payload.payload.n);
const heard = (raw, count) => waitFor(() => numbers(raw).length >= count, () => `${count} messages; heard ${numbers(raw).length}`, 60000);
const isWhole = (values) => values.every((n, i) => n === i + 1);

// Sends 1, 2, 3 ... one transaction each, until told to stop; resolves with the last.
function talk(t, cluster) {
  let going = true;
  let n = 0;
  const stop = () => { going = false; };
  cleanup(t, stop);
  const done = (async () => {
    while (going) {
      n += 1;
      await cluster.sql(`select realtime.send('{"n": ${n}}', 'n', 'news', false)`);
    }
    return n;
  })();
  return { stop: () => { stop(); return done; }, sent: () => n };
}

test('a walsender that is ended in the midst loses and doubles nothing', async (t) => {
  const cluster = await Cluster.start(t);
  const raw = await listen(t, cluster);
  const walsender = async () => (await cluster.sql(kWalsender))[0]?.pid;
  const end = async () => {
    const pid = await waitFor(walsender, 'the walsender');
    await cluster.sql(`select pg_terminate_backend(${pid})`);
    await waitFor(async () => (await walsender()) !== pid, 'its end');
  };
  const speaker = talk(t, cluster);
  for (let i = 0; i < 5; i += 1) {
    const before = speaker.sent();
    await waitFor(() => speaker.sent() > before + 5, 'some messages');
    await end();
  }
  const last = await speaker.stop();
  await heard(raw, last);
  assert.ok(isWhole(numbers(raw)), 'each once, in order');

  // In the midst of one transaction.
  const kMany = 50000;
  const sending = cluster.sql(`select count(realtime.send(jsonb_build_object('n', i, 'x', repeat('x', 500)), 'n', 'news', false))
                               from generate_series(${last + 1}, ${last + kMany}) i`);
  await waitFor(() => numbers(raw).length > last, 'its first message', 60000);
  await end();
  await sending;
  await heard(raw, last + kMany);
  await cluster.sql(`select realtime.send('{"n": ${last + kMany + 1}}', 'n', 'news', false)`);
  await heard(raw, last + kMany + 1);
  assert.equal(numbers(raw).length, last + kMany + 1);
  assert.ok(isWhole(numbers(raw)), 'each once, in order');
});

test('messages do not depend on the publication of changes, which may come and go while they flow', async (t) => {
  const cluster = await Cluster.start(t);
  await cluster.sql('create table news (id int primary key); grant select on news to anon');
  const raw = await listen(t, cluster);
  assert.equal(cluster.log.count('publication "supabase_realtime" does not exist'), 0, 'nobody has asked for it');
  const speaker = talk(t, cluster);
  let id = 0;
  for (let round = 0; round < 3; round += 1) {
    await cluster.sql("select realtime.publish('news')");
    const reader = await cluster.client(t);
    await reader.listen('realtime:changes', [{ event: '*', schema: 'public', table: 'news' }]);
    id += 1;
    await cluster.sql(`insert into news values (${id})`);
    assert.equal((await reader.change()).payload.data.record.id, id);
    await cluster.sql('drop publication supabase_realtime');
    const missed = await reader.event('system');
    assert.equal(missed.payload.status, 'error');
    assert.match(missed.payload.message, /^Changes may have been missed: publication "supabase_realtime" does not exist$/);
    const before = numbers(raw).length;
    await waitFor(() => numbers(raw).length > before + 5, 'messages without it');
    reader.socket.close();
    await reader.close();
  }
  const last = await speaker.stop();
  await heard(raw, last);
  assert.equal(numbers(raw).length, last);
  assert.ok(isWhole(numbers(raw)), 'each once, in order');
  assert.ok(cluster.log.count('the change stream goes on with publication "supabase_realtime"') >= 2);
});

test('without the publication of messages changes flow all the same, and the worker makes it again', async (t) => {
  const cluster = await Cluster.start(t);
  const reader = await cluster.delivers(t);
  const raw = await listen(t, cluster);
  await cluster.sql('drop publication supabase_realtime_messages_publication');
  await cluster.log.line('the change stream goes on without messages from the database');
  await raw.next((frame) => frame.payload.message ===
    'Changes may have been missed: publication "supabase_realtime_messages_publication" does not exist', 'the notice of it');
  await cluster.sql('insert into proof default values');
  await reader.change();
  await waitFor(async () => (await cluster.sql("select 1 from pg_publication where pubname = 'supabase_realtime_messages_publication'")).length > 0,
    'the worker to make it again');
  await cluster.log.line('the change stream goes on with messages from the database');
  await cluster.sql(`select realtime.send('{"n": 1}', 'n', 'news', false)`);
  await heard(raw, 1);
});

test('DROP and CREATE EXTENSION: messages of the new table arrive', async (t) => {
  const cluster = await Cluster.start(t);
  for (let round = 1; round <= 3; round += 1) {
    const raw = await listen(t, cluster);
    await cluster.sql(`select realtime.send('{"n": 1}', 'n', 'news', false)`);
    await heard(raw, 1);
    await cluster.sql('drop extension realtime');
    assert.equal((await raw.close()).code, 1012);
    await waitFor(async () => (await cluster.status()) === 0, 'the port to be closed');
    await cluster.sql('create extension realtime');
  }
  const lines = cluster.log.lines().filter((line) => /PANIC|TRAP:|terminated by signal (4|6|7|8|11):/.test(line));
  assert.deepEqual(lines, []);
});
