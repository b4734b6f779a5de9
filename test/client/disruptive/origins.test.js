'use strict';
// realtime.allowed_origins: which pages may connect and call.
const test = require('node:test');
const assert = require('node:assert/strict');
const { Cluster } = require('../lib/cluster');
const { openBrowser, servePage } = require('../lib/browser');
const { waitFor } = require('../lib/wait');

const kPath = '/realtime/v1/api/broadcast';

const call = (cluster, options) => fetch(`http://127.0.0.1:${cluster.port}${kPath}`, options);
const post = (cluster, headers, n) => call(cluster, {
  method: 'POST', headers: { apikey: cluster.env.ANON_KEY, 'content-type': 'application/json', ...headers },
  body: JSON.stringify({ messages: [{ topic: 'room', event: 'e', payload: { n } }] }),
});
const preflight = (cluster, origin) => call(cluster, {
  method: 'OPTIONS', headers: { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': 'apikey,content-type' },
});

test('preflights and calls of other pages are refused, and nothing of them is delivered', async (t) => {
  const cluster = await Cluster.start(t, "realtime.allowed_origins = 'https://app.example, https://other.example'");
  await cluster.serving();
  const listener = await cluster.client(t);
  assert.equal((await listener.join('realtime:room')).payload.status, 'ok');
  for (const origin of ['https://app.example', 'https://other.example']) {
    const answer = await preflight(cluster, origin);
    assert.equal(answer.status, 204, origin);
    assert.equal(answer.headers.get('access-control-allow-origin'), '*');
    assert.match(answer.headers.get('access-control-allow-methods'), /POST/);
  }
  for (const origin of ['https://evil.example', 'http://app.example', 'https://app.example.evil', 'https://app.example:444', 'null']) {
    assert.equal((await preflight(cluster, origin)).status, 403, `preflight of ${origin}`);
    // As a page may without a preflight, too.
    assert.equal((await post(cluster, { origin, 'content-type': 'text/plain' }, 1)).status, 403, origin);
  }
  assert.equal((await post(cluster, { origin: 'https://app.example' }, 2)).status, 202);
  assert.equal((await post(cluster, {}, 3)).status, 202, 'what is no page says no origin');
  const seen = () => listener.frames.map((frame) => frame.payload).filter((payload) => payload?.event === 'e').map(({ payload }) => payload.n);
  await waitFor(() => seen().length === 2, () => `two messages, not ${seen()}`);
  assert.deepEqual(seen(), [2, 3]);
});

test('supabase-js in a browser: a page of an allowed origin sends and joins, another does neither', async (t) => {
  const browser = await openBrowser(t);
  if (!browser) return;
  const cluster = await Cluster.start(t);
  await cluster.serving();
  const html = '<!doctype html><meta charset="utf-8"><title>page</title><script src="/supabase.js"></script>';
  const [good, bad] = [await servePage(t, html), await servePage(t, html)];
  await cluster.set('realtime.allowed_origins', `'${new URL(good).origin}'`);
  await waitFor(async () => (await preflight(cluster, 'https://evil.example')).status === 403, 'the setting');
  const attempt = async (address) => {
    const tab = await browser.newPage();
    await tab.goto(address);
    return tab.evaluate(async ([url, key]) => {
      const channel = supabase.createClient(url, key).channel('room');
      const sent = await channel.httpSend('e', { n: 1 }).then(() => 'sent', () => 'not sent');
      const status = await new Promise((resolve) => { channel.subscribe(resolve); });
      return [sent, status];
    }, [`http://127.0.0.1:${cluster.port}`, cluster.env.ANON_KEY]);
  };
  assert.deepEqual(await attempt(good), ['sent', 'SUBSCRIBED']);
  const [sent, status] = await attempt(bad);
  assert.equal(sent, 'not sent');
  assert.notEqual(status, 'SUBSCRIBED');
});
