'use strict';
// Two tabs of a real browser in one room, as in the documentation's first examples: each sees the other's presence and its
// cursor, and what a browser asks over HTTP passes its rules for other origins.
const test = require('node:test');
const assert = require('node:assert/strict');
const env = require('./lib/env');
const { openBrowser, servePage } = require('./lib/browser');
const { makeClient, newTopic } = require('./lib/clients');
const { enter } = require('./lib/room');
const { waitFor } = require('./lib/wait');

// The tab's name comes in the address. What it saw is in `window.room`.
const page = (topic) => `<!doctype html><meta charset="utf-8"><title>room</title>
<script src="/supabase.js"></script>
<script>
  const name = new URLSearchParams(location.search).get('name');
  const client = supabase.createClient(${JSON.stringify(env.url)}, ${JSON.stringify(env.anonKey)});
  const channel = client.channel(${JSON.stringify(topic)}, { config: { presence: { key: name } } });
  const room = { status: null, cursors: {}, bytes: null, joined: [], left: [] };
  window.room = room;
  const places = ([key, metas]) => [key, metas.map(({ at }) => at)];
  window.present = () => Object.fromEntries(Object.entries(channel.presenceState()).map(places));
  channel
    .on('presence', { event: 'join' }, ({ key }) => room.joined.push(key))
    .on('presence', { event: 'leave' }, ({ key }) => room.left.push(key))
    .on('broadcast', { event: 'cursor' }, ({ payload }) => { room.cursors[payload.name] = [payload.x, payload.y]; })
    .on('broadcast', { event: 'bytes' }, ({ payload }) => { room.bytes = [...new Uint8Array(payload)]; })
    .subscribe(async (status) => {
      if (status === 'SUBSCRIBED') await channel.track({ at: 'home of ' + name });
      room.status = status;
    });
  window.addEventListener('mousemove', ({ clientX: x, clientY: y }) => {
    channel.send({ type: 'broadcast', event: 'cursor', payload: { name, x, y } });
  });
</script>`;

async function openTab(browser, address, name, complaints) {
  const tab = await browser.newPage();
  tab.on('pageerror', (error) => complaints.push(`${name}: ${error}`));
  await tab.goto(`${address}?name=${name}`);
  return tab;
}

const room = (tab) => tab.evaluate('window.room');
const seen = (tab, condition, what) => waitFor(async () => condition(await room(tab)),
  () => `${what} in the tab`);
const presentIs = async (tab, wanted) => waitFor(
  async () => JSON.stringify(Object.entries(await tab.evaluate('window.present()')).sort()) === JSON.stringify(Object.entries(wanted).sort()),
  `presence of ${Object.keys(wanted)}`);

test('two tabs see each other\'s presence and cursor', async (t) => {
  const browser = await openBrowser(t);
  if (!browser) return;
  const topic = newTopic();
  const address = await servePage(t, page(topic));
  const complaints = [];
  const ann = await openTab(browser, address, 'ann', complaints);
  const bob = await openTab(browser, address, 'bob', complaints);
  for (const tab of [ann, bob]) {
    await seen(tab, ({ status }) => status === 'SUBSCRIBED', 'the subscription');
    await presentIs(tab, { ann: ['home of ann'], bob: ['home of bob'] });
  }
  await ann.mouse.move(10, 20);
  await ann.mouse.move(30, 40);
  await seen(bob, ({ cursors }) => String(cursors.ann) === '30,40', 'the last place of the other\'s cursor');
  await bob.mouse.move(5, 6);
  await seen(ann, ({ cursors }) => String(cursors.bob) === '5,6', 'the other\'s cursor');
  assert.equal((await room(ann)).cursors.ann, undefined, 'not its own');

  const witness = await enter(await makeClient(t), topic);
  await bob.evaluate("channel.send({ type: 'broadcast', event: 'bytes', payload: Uint8Array.from([0, 255, 7]).buffer })");
  await seen(ann, ({ bytes }) => String(bytes) === '0,255,7', 'the bytes');
  assert.deepEqual(Buffer.from((await witness.broadcast('bytes')).payload), Buffer.from([0, 255, 7]));

  await bob.close();
  await seen(ann, ({ left }) => left.includes('bob'), 'the closed tab leaving');
  await presentIs(ann, { ann: ['home of ann'] });
  assert.deepEqual(complaints, []);
});

test('REST from a page: httpSend() and the fall-back of send(), with the browser\'s preflight', async (t) => {
  const browser = await openBrowser(t);
  if (!browser) return;
  const topic = newTopic();
  const complaints = [];
  const tab = await openTab(browser, await servePage(t, page(topic)), 'ann', complaints);
  await seen(tab, ({ status }) => status === 'SUBSCRIBED', 'the subscription');
  const witness = await enter(await makeClient(t), topic);
  const other = `client.channel(${JSON.stringify(topic)} + '-other')`;
  assert.deepEqual(await tab.evaluate("channel.httpSend('json', { n: 1 })"), { success: true });
  assert.deepEqual(await tab.evaluate("channel.httpSend('bytes', Uint8Array.from([1, 2]))"), { success: true });
  assert.deepEqual((await witness.broadcast('json')).payload, { n: 1 });
  assert.deepEqual(Buffer.from((await witness.broadcast('bytes')).payload), Buffer.from([1, 2]));
  assert.equal(await tab.evaluate(`${other}.send({ type: 'broadcast', event: 'e', payload: {} })`), 'ok');
  const message = await tab.evaluate(`client.channel(${JSON.stringify(topic)} + '-private', { config: { private: true } })` +
    ".httpSend('e', {}).catch((error) => error.message)");
  assert.equal(message, 'Unauthorized', 'an error that the page can read');
  assert.deepEqual(complaints, []);
});
