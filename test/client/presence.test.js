'use strict';
// Presence: who is there, for real clients of both versions and, frame by frame, for raw ones.
const { spawn } = require('node:child_process');
const path = require('node:path');
const test = require('node:test');
const assert = require('node:assert/strict');
const { cleanup } = require('./lib/cleanup');
const { makeClient, newTopic, kVersions } = require('./lib/clients');
const { RawClient } = require('./lib/raw');
const { enter } = require('./lib/room');
const { waitFor } = require('./lib/wait');

const ok = { status: 'ok', response: {} };
const kRef = /^[A-Za-z0-9_-]{16}$/;
const kUuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

const config = (key) => ({ presence: { key } });
const person = async (t, topic, key, vsn = '2.0.0') => enter(await makeClient(t, { vsn }), topic, { config: config(key), presence: true });

// A raw member with presence on; `state` is what it was told first.
async function rawMember(t, topic, { key = '', vsn = '2.0.0', presence = { key, enabled: true } } = {}) {
  const client = await RawClient.open(t, { vsn });
  const { join_ref } = await client.join(topic, { config: { presence } });
  const state = presence.enabled ? await client.event('presence_state') : null;
  return Object.assign(client, { join_ref, topic, state });
}

const call = (client, event, payload) =>
  client.request(client.topic, 'presence', { type: 'presence', event, payload }, { join_ref: client.join_ref });
const diffs = (client) => client.frames.filter((frame) => frame.event === 'presence_diff').map((frame) => frame.payload);
const diff = (client, nth = 1) => waitFor(() => diffs(client)[nth - 1], () => `diff ${nth}; saw ${JSON.stringify(diffs(client))}`);

for (const vsn of kVersions) {
  test(`test_presence_join: everybody sees who tracks, also who comes later, version ${vsn}`, async (t) => {
    const topic = newTopic();
    const ann = await person(t, topic, 'ann', vsn);
    const bob = await person(t, topic, 'bob', kVersions[0]);
    assert.equal(await ann.channel.track({ name: 'Ann', at: [1, { deep: null }] }), 'ok');
    const wanted = { ann: [{ name: 'Ann', at: [1, { deep: null }] }] };
    for (const room of [ann, bob]) {
      await room.becomes(wanted);
      const joined = await room.presence('join', 'ann');
      assert.equal(joined.newPresences.length, 1);
      assert.match(joined.newPresences[0].presence_ref, kRef);
      assert.deepEqual(joined.currentPresences, []);
      assert.ok(room.presences.some(({ event }) => event === 'sync'));
    }
    assert.equal(await bob.channel.track({ name: 'Bob' }), 'ok');
    const late = await person(t, topic, 'late', kVersions[1]);
    for (const room of [ann, bob, late]) await room.becomes({ ...wanted, bob: [{ name: 'Bob' }] });
    const refs = [ann, bob, late].map((room) => room.channel.presenceState().ann[0].presence_ref);
    assert.equal(new Set(refs).size, 1, 'the same meta for all');
  });
}

const departures = {
  untrack: async (room) => assert.equal(await room.channel.untrack(), 'ok'),
  unsubscribe: async (room) => assert.equal(await room.channel.unsubscribe(), 'ok'),
  disconnect: async (room) => room.channel.socket.disconnect(),
};

for (const [how, leave] of Object.entries(departures)) {
  for (const vsn of kVersions) {
    test(`test_presence_leave: ${how}, version ${vsn}`, async (t) => {
      const topic = newTopic();
      const watchers = [await person(t, topic, 'two', '2.0.0'), await person(t, topic, 'one', '1.0.0')];
      const leaver = await person(t, topic, 'leaver', vsn);
      await leaver.channel.track({ n: 1 });
      for (const room of watchers) await room.becomes({ leaver: [{ n: 1 }] });
      await leave(leaver);
      for (const room of watchers) {
        await room.becomes({});
        const left = await room.presence('leave', 'leaver');
        assert.deepEqual(left.leftPresences.map(({ n }) => n), [1]);
      }
      const late = await person(t, topic, 'late');
      await waitFor(() => late.presences.some(({ event }) => event === 'sync'), 'the state');
      assert.deepEqual(late.present(), {});
    });
  }
}

test('test_presence_leave: a client process that is killed', async (t) => {
  const topic = newTopic();
  const watcher = await person(t, topic, 'watcher');
  for (const vsn of kVersions) {
    const program = [path.join(__dirname, 'lib/tracker.js'), vsn, topic, `victim-${vsn}`];
    const child = spawn(process.execPath, program, { stdio: ['ignore', 'ignore', 'inherit'] });
    cleanup(t, () => child.kill('SIGKILL'));
    await watcher.presence('join', `victim-${vsn}`);
    assert.deepEqual(watcher.present(), { [`victim-${vsn}`]: [{ process: child.pid }] });
    child.kill('SIGKILL');
    await watcher.presence('leave', `victim-${vsn}`);
    await watcher.becomes({});
  }
});

test('test_presence_leave: a second channel of the same socket leaves with it', async (t) => {
  const topics = [newTopic(), newTopic()];
  const watchers = [await person(t, topics[0], 'w'), await person(t, topics[1], 'w')];
  const client = await makeClient(t);
  for (const topic of topics) await (await enter(client, topic, { config: config('both') })).channel.track({ topic });
  for (const [i, room] of watchers.entries()) await room.becomes({ both: [{ topic: topics[i] }] });
  client.realtime.disconnect();
  for (const room of watchers) await room.becomes({});
});

test('several metas under one key: one per channel instance', async (t) => {
  const topic = newTopic();
  const watcher = await person(t, topic, 'watcher', '1.0.0');
  const tabs = [await person(t, topic, 'ann'), await person(t, topic, 'ann', '1.0.0')];
  await tabs[0].channel.track({ tab: 1 });
  await watcher.becomes({ ann: [{ tab: 1 }] });
  await tabs[1].channel.track({ tab: 2 });
  for (const room of [watcher, ...tabs]) await room.becomes({ ann: [{ tab: 1 }, { tab: 2 }] });
  const late = await person(t, topic, 'late');
  await waitFor(() => late.present().ann?.length === 2, 'both in the state');
  await tabs[1].channel.unsubscribe();
  for (const room of [watcher, late]) await room.becomes({ ann: [{ tab: 1 }] });
  await tabs[0].channel.untrack();
  await watcher.becomes({});
});

test('without a key the server makes a UUID, one for each join', async (t) => {
  const topic = newTopic();
  const watcher = await person(t, topic, 'watcher');
  const clients = [await person(t, topic, ''), await person(t, topic, undefined, '1.0.0')];
  for (const [n, room] of clients.entries()) await room.channel.track({ n });
  await waitFor(() => Object.keys(watcher.present()).length === 2, 'both');
  const keys = Object.keys(watcher.present());
  keys.forEach((key) => assert.match(key, kUuid));
  assert.notEqual(keys[0], keys[1]);
});

test('update: one diff with the old meta as leave, the new one as join, and what it replaces', async (t) => {
  const topic = `realtime:${newTopic()}`;
  const [two, one] = [await rawMember(t, topic), await rawMember(t, topic, { vsn: '1.0.0' })];
  const sender = await rawMember(t, topic, { key: 'ann' });
  assert.deepEqual((await call(sender, 'track', { n: 1, only: 'old' })).payload, ok);
  assert.deepEqual((await call(sender, 'TRACK', { n: 2 })).payload, ok);
  for (const client of [two, one, sender]) {
    await waitFor(() => diffs(client).length === 2, 'two diffs');
    const [first, second] = diffs(client);
    const old = first.joins.ann.metas[0].phx_ref;
    const now = second.joins.ann.metas[0].phx_ref;
    assert.match(old, kRef);
    assert.match(now, kRef);
    assert.notEqual(old, now);
    assert.deepEqual(first, { joins: { ann: { metas: [{ phx_ref: old, n: 1, only: 'old' }] } }, leaves: {} });
    assert.deepEqual(second, {
      joins: { ann: { metas: [{ phx_ref: now, phx_ref_prev: old, n: 2 }] } },
      leaves: { ann: { metas: [{ phx_ref: old, n: 1, only: 'old' }] } },
    });
  }
  const late = await rawMember(t, topic);
  assert.deepEqual(late.state.payload, { ann: { metas: [{ phx_ref: diffs(two)[1].joins.ann.metas[0].phx_ref, n: 2 }] } });
});

test('update: what the application of a version 1.0.0 client sees', async (t) => {
  const topic = newTopic();
  const watcher = await person(t, topic, 'watcher', '1.0.0');
  const ann = await person(t, topic, 'ann');
  await ann.channel.track({ n: 1 });
  await watcher.becomes({ ann: [{ n: 1 }] });
  await ann.channel.track({ n: 2 });
  await watcher.becomes({ ann: [{ n: 2 }] });
});

test('an identical payload is answered and makes no event, whatever the order of its members', async (t) => {
  const topic = `realtime:${newTopic()}`;
  const watcher = await rawMember(t, topic);
  const sender = await rawMember(t, topic, { key: 'ann' });
  await call(sender, 'track', { a: 1, b: { c: [true] } });
  assert.deepEqual((await call(sender, 'track', { a: 1, b: { c: [true] } })).payload, ok);
  assert.deepEqual((await call(sender, 'track', { b: { c: [true] }, a: 1 })).payload, ok);
  await call(sender, 'untrack');
  await waitFor(() => diffs(watcher).some(({ leaves }) => leaves.ann), 'the leave');
  assert.equal(diffs(watcher).length, 2, 'a join and a leave');
});

test('frames: the state follows the join, under its join_ref; diffs have none', async (t) => {
  const topic = `realtime:${newTopic()}`;
  const two = await rawMember(t, topic, { key: 'ann' });
  assert.deepEqual(JSON.parse(two.state.text), [two.join_ref, null, topic, 'presence_state', {}]);
  const one = await rawMember(t, topic, { vsn: '1.0.0' });
  assert.deepEqual(JSON.parse(one.state.text), { event: 'presence_state', payload: {}, ref: null, topic });
  assert.deepEqual(two.frames.map(({ event }) => event), ['phx_reply', 'presence_state']);

  const reply = await call(two, 'track', { name: 'Ann' });
  assert.deepEqual(JSON.parse(reply.text), [two.join_ref, reply.ref, topic, 'phx_reply', ok]);
  const seen = JSON.parse((await one.event('presence_diff')).text);
  const ref = seen.payload.joins.ann.metas[0].phx_ref;
  const payload = { joins: { ann: { metas: [{ phx_ref: ref, name: 'Ann' }] } }, leaves: {} };
  assert.deepEqual(seen, { event: 'presence_diff', payload, ref: null, topic });
  const own = await waitFor(() => two.frames.find(({ event }) => event === 'presence_diff'), 'the sender\'s own diff');
  assert.deepEqual(JSON.parse(own.text), [null, null, topic, 'presence_diff', payload]);

  await call(two, 'untrack');
  const gone = { joins: {}, leaves: { ann: { metas: [{ phx_ref: ref, name: 'Ann' }] } } };
  assert.deepEqual(await diff(one, 2), gone);
});

test('what is asked amiss: replies, and the channel goes on', async (t) => {
  const topic = `realtime:${newTopic()}`;
  const client = await rawMember(t, topic, { key: 'ann' });
  const notAMap = { status: 'error', response: { reason: 'Presence track payload must be a map' } };
  assert.deepEqual((await call(client, 'track', [1])).payload, notAMap);
  assert.equal((await call(client, 'dance')).payload.status, 'error');
  assert.deepEqual((await call(client, undefined, {})).payload, ok);
  assert.deepEqual((await call(client, 'untrack')).payload, ok, 'nothing was tracked');
  assert.deepEqual((await call(client, 'track')).payload, ok, 'no payload: an empty one');
  const { joins } = await diff(client);
  assert.deepEqual(Object.keys(joins.ann.metas[0]), ['phx_ref']);
});

test('a payload cannot forge the protocol\'s own members', async (t) => {
  const topic = `realtime:${newTopic()}`;
  const client = await rawMember(t, topic, { key: 'ann' });
  await call(client, 'track', { phx_ref: 'forged', phx_ref_prev: 'forged', metas: 'kept', name: 'Ann' });
  await diff(client);
  const { text } = client.frames.find(({ event }) => event === 'presence_diff');
  assert.ok(!text.includes('forged'), text);
  assert.equal(text.split('"phx_ref"').length, 2, 'once');
  const [meta] = JSON.parse(text)[4].joins.ann.metas;
  assert.deepEqual({ ...meta, phx_ref: '' }, { phx_ref: '', metas: 'kept', name: 'Ann' });
});

test('keys are opaque: quotes, letters of all sorts, numbers, long ones', async (t) => {
  const topic = newTopic();
  const watcher = await person(t, topic, 'watcher', '1.0.0');
  const keys = ['"\\\n', 'ключ 🎈', 'k'.repeat(300), '0'];
  for (const [n, key] of keys.entries()) await (await person(t, topic, key)).channel.track({ n });
  await watcher.becomes(Object.fromEntries(keys.map((key, n) => [key, [{ n }]])));
});

test('presence that was not asked for: no state, but a public channel hears the diffs', async (t) => {
  const topic = newTopic();
  const quiet = await rawMember(t, `realtime:${topic}`, { presence: { key: 'quiet', enabled: false } });
  const ann = await person(t, topic, 'ann');
  await ann.channel.track({ n: 1 });
  assert.deepEqual(Object.keys((await diff(quiet)).joins), ['ann']);
  assert.ok(!quiet.frames.some(({ event }) => event === 'presence_state'));
  assert.deepEqual((await call(quiet, 'track', { n: 2 })).payload, ok);
  await ann.becomes({ ann: [{ n: 1 }], quiet: [{ n: 2 }] });
  assert.ok(!quiet.frames.some(({ event }) => event === 'presence_state'));
});

test('the enabled flag without a listener gets the state', async (t) => {
  const topic = newTopic();
  const ann = await person(t, topic, 'ann');
  await ann.channel.track({ n: 1 });
  const flagged = await enter(await makeClient(t), topic, { config: { presence: { enabled: true } } });
  await flagged.becomes({ ann: [{ n: 1 }] });
});

test('presence does not survive a re-join, and tracking again brings it back', async (t) => {
  const topic = newTopic();
  const watcher = await person(t, topic, 'watcher');
  const client = await makeClient(t);
  const first = await enter(client, topic, { config: config('ann'), presence: true });
  await first.channel.track({ n: 1 });
  await watcher.becomes({ ann: [{ n: 1 }] });
  await client.removeChannel(first.channel);
  await watcher.presence('leave', 'ann');
  const second = await enter(client, topic, { config: config('ann'), presence: true });
  await second.channel.track({ n: 2 });
  await second.becomes({ ann: [{ n: 2 }] });
  await waitFor(() => watcher.presences.filter(({ event, key }) => event === 'join' && key === 'ann').length === 2, 'the second join');
});

test('presence stays in its topic', async (t) => {
  const topic = newTopic();
  const [here, there] = [await person(t, topic, 'here', '1.0.0'), await person(t, `${topic}-2`, 'there', '1.0.0')];
  await there.channel.track({ n: 1 });
  await here.channel.track({ n: 2 });
  await there.channel.track({ n: 3 });
  await there.becomes({ there: [{ n: 3 }] });
  await here.channel.track({ n: 4 });
  await here.becomes({ here: [{ n: 4 }] });
  assert.deepEqual([...new Set([...here.presences, ...there.presences].map(({ key }) => key))].sort(), ['here', 'there', undefined]);
  assert.ok(here.presences.every(({ key }) => key !== 'there') && there.presences.every(({ key }) => key !== 'here'));
});

test('50 clients that come and go leave an empty room, and all see the same meanwhile', async (t) => {
  const topic = newTopic();
  const watcher = await person(t, topic, 'watcher', '1.0.0');
  const rooms = await Promise.all(Array.from({ length: 50 }, (_, i) => person(t, topic, `k${i}`, kVersions[i % 2])));
  await Promise.all(rooms.map((room, i) => room.channel.track({ i })));
  const all = Object.fromEntries(rooms.map((_, i) => [`k${i}`, [{ i }]]));
  for (const room of [watcher, ...rooms]) await room.becomes(all);
  rooms.forEach((room, i) => (i % 2 ? room.channel.socket.disconnect() : room.channel.untrack()));
  await watcher.becomes({});
});

test('more calls than the limit are refused one by one; the channel stays', async (t) => {
  const topic = newTopic();
  const ann = await person(t, topic, 'ann');
  const outcomes = [];
  for (let n = 0; n < 8; n += 1) outcomes.push(await ann.channel.track({ n }));
  assert.deepEqual(outcomes.slice(0, 5), ['ok', 'ok', 'ok', 'ok', 'ok']);
  assert.ok(outcomes.slice(5).includes('error'), `${outcomes}`);
  assert.deepEqual(ann.statuses, ['SUBSCRIBED']);
});
