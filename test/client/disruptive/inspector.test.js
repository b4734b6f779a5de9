'use strict';
// The page at /inspector, as a developer uses it in a real browser, over http and https.
const path = require('node:path');
const test = require('node:test');
const assert = require('node:assert/strict');
const { openBrowser } = require('../lib/browser');
const { certify, nameOf } = require('../lib/certificate');
const { Cluster } = require('../lib/cluster');
const { waitFor } = require('../lib/wait');

const kFiles = ['/inspector', '/inspector.css', '/inspector.js'];
// Where to keep what the page looks like; without it nothing is kept.
const kScreenshots = process.env.INSPECTOR_SCREENSHOTS;

class Page {
  static async open(t, browser, cluster, scheme = 'http', options = {}) {
    const page = new Page();
    page.complaints = [];
    page.tab = await browser.newPage({ viewport: { width: 1280, height: 900 }, ignoreHTTPSErrors: true, ...options });
    page.tab.on('pageerror', (error) => page.complaints.push(String(error)));
    page.tab.on('console', (message) => { if (message.type() === 'error') page.complaints.push(message.text()); });
    const answer = await page.tab.goto(`${scheme}://127.0.0.1:${cluster.port}/inspector`);
    assert.equal(answer.status(), 200);
    return page;
  }

  text(selector) { return this.tab.locator(selector).innerText(); }
  async shows(selector, wanted) {
    let last;
    await waitFor(async () => (last = await this.text(selector)).includes(wanted), () => `"${wanted}" in ${selector}, not "${last}"`);
  }
  async fill(values) {
    for (const [id, value] of Object.entries(values)) await this.tab.locator(`#${id}`).fill(value);
  }
  async join(values) {
    await this.fill(values);
    await this.tab.click('#enter');
  }
  // What the feed lists of a kind, newest first.
  list(kind) { return this.tab.locator(`#events [data-kind="${kind}"] summary`).allInnerTexts(); }
  async lists(kind, ...parts) {
    let last;
    const has = (line) => parts.every((part) => line.includes(part));
    await waitFor(async () => (last = await this.list(kind)).some(has), () => `${kind} with ${parts}, not ${last}`);
  }
  async keep(name) {
    if (kScreenshots) await this.tab.screenshot({ path: path.join(kScreenshots, `${name}.png`), fullPage: true });
  }
}

const get = (cluster, file, options) => fetch(`http://127.0.0.1:${cluster.port}${file}`, options);

async function startWithTable(t) {
  const cluster = await Cluster.start(t, 'realtime.inspector = on');
  await cluster.serving();
  await cluster.sql(`create table todos (id int primary key, title text); grant select on todos to anon;
                     select realtime.publish('todos')`);
  return cluster;
}

test('it is served while realtime.inspector is on, and allows the page nothing but its own files', async (t) => {
  const cluster = await Cluster.start(t);
  await cluster.serving();
  for (const file of kFiles) assert.equal((await get(cluster, file)).status, 404, `${file} by default`);
  await cluster.set('realtime.inspector', 'on');
  await waitFor(async () => (await get(cluster, '/inspector')).status === 200, 'the page');
  for (const [i, type] of ['html', 'css', 'javascript'].entries()) {
    const answer = await get(cluster, kFiles[i]);
    assert.equal(answer.headers.get('content-type'), `text/${type}; charset=utf-8`);
    const policy = answer.headers.get('content-security-policy');
    assert.match(policy, /^default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';/);
    assert.doesNotMatch(policy, /unsafe|\*/);
    assert.match(policy, /frame-ancestors 'none'/);
    assert.equal(answer.headers.get('x-content-type-options'), 'nosniff');
    assert.equal(answer.headers.get('access-control-allow-origin'), null, 'no business of other origins');
    const text = await answer.text();
    assert.equal(Buffer.byteLength(text), Number(answer.headers.get('content-length')));
    assert.doesNotMatch(text, /https?:\/\/|@import|url\(| on[a-z]+="/, 'no external asset, no inline handler');
    const head = await get(cluster, kFiles[i], { method: 'HEAD' });
    assert.deepEqual([head.status, await head.text()], [200, '']);
  }
  assert.equal((await get(cluster, '/inspector', { method: 'POST' })).status, 404);
  assert.equal((await get(cluster, '/inspector/')).status, 404);
  await cluster.set('realtime.inspector', 'off');
  await waitFor(async () => (await get(cluster, '/inspector')).status === 404, 'the page to be gone');
});

test('a developer joins, sees messages, presence and row changes, sends a broadcast, and is told what is wrong', async (t) => {
  const browser = await openBrowser(t);
  if (!browser) return;
  const cluster = await startWithTable(t);
  const page = await Page.open(t, browser, cluster);
  await page.tab.click('#changes summary');
  await page.join({ key: cluster.env.ANON_KEY, topic: 'room', table: 'todos', filter: 'id=gt.1' });
  await page.shows('#status', 'Joined');
  await page.shows('#key-note', 'Role anon, valid until');
  await page.shows('#pace', 'heartbeat');
  await page.lists('system', 'Subscribed to PostgreSQL');

  await cluster.sql("insert into todos values (1, 'not this'), (2, 'buy milk')");
  await page.lists('change', 'INSERT public.todos', '{"id":2,"title":"buy milk"}');
  assert.ok(!(await page.list('change')).some((line) => line.includes('not this')), 'the filter');
  await cluster.sql(`select realtime.send('{"from": "SQL"}', 'hello', 'room', false), realtime.send_binary('\\x00ff', 'bytes', 'room', false)`);
  await page.lists('broadcast', 'hello', '"from":"SQL"');
  await page.lists('broadcast', 'bytes', '2 bytes: 00 ff');

  await page.fill({ name: 'greeting', payload: '{ "text": "<b>not bold</b>" }' });
  await page.tab.click('#send');
  await page.lists('broadcast', 'greeting', '<b>not bold</b>');
  await page.tab.locator('#events [data-kind="broadcast"] summary').first().click();
  assert.match(await page.text('#events pre'), /"text": "<b>not bold<\/b>"/);
  await page.fill({ payload: '{ broken' });
  await page.tab.click('#send');
  await page.shows('#broadcast #problem', 'This is not JSON');
  await page.fill({ payload: '{ "text": "hello" }' });

  await page.tab.click('#track');
  await page.shows('#here', '{"name":"inspector"}');
  const other = await Page.open(t, browser, cluster, 'http', { colorScheme: 'dark' });
  await other.join({ key: cluster.env.ANON_KEY, topic: 'room' });
  await other.shows('#here', '{"name":"inspector"}');
  await other.fill({ meta: '{ "name": "Bob" }' });
  await other.tab.click('#track');
  await page.shows('#here', '{"name":"Bob"}');
  await page.shows('#here-count', '2');
  await page.lists('presence', 'diff', '{"name":"Bob"}');
  await page.keep('inspector');
  await other.keep('inspector-dark');
  await other.tab.click('#leave');
  await other.shows('#status', 'Not connected');
  await page.shows('#here-count', '1');
  await page.tab.uncheck('#kinds input[value="change"]');
  await page.shows('#kinds', 'row change 1');
  assert.equal(await page.tab.locator('#events [data-kind="change"]').first().isVisible(), false);

  await other.tab.check('#private');
  await other.tab.click('#enter');
  await other.shows('#join #problem', 'Unauthorized: You do not have permissions to read from this Channel topic: room');
  await other.keep('inspector-refused');
  await other.tab.click('#clear');
  await other.shows('#kinds', 'presence 0');
  await other.shows('#nothing', 'Join a channel');
  await other.tab.setViewportSize({ width: 360, height: 800 });
  await page.tab.setViewportSize({ width: 360, height: 800 });
  await page.keep('inspector-narrow');
  for (const each of [page, other]) {
    assert.ok(await each.tab.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth), 'no scrolling sideways on a telephone');
  }
  assert.deepEqual([...page.complaints, ...other.complaints], []);

  cluster.restart();
  await page.lists('system', 'connection closed (1012)', 'service restart');
  await page.shows('#status', 'Joined');
  const stranger = await Page.open(t, browser, cluster);
  await stranger.join({ key: 'no key at all', topic: 'room' });
  await stranger.shows('#problem', 'The server refused the connection');
});

test('over https', async (t) => {
  const browser = await openBrowser(t);
  if (!browser) return;
  const cluster = await startWithTable(t);
  certify(cluster, 'inspector');
  await cluster.set('realtime.ssl', 'on');
  await waitFor(async () => (await nameOf(cluster)) === 'inspector', 'the listener to speak TLS');
  const page = await Page.open(t, browser, cluster, 'https');
  await page.join({ key: cluster.env.SERVICE_KEY, topic: 'room' });
  await page.shows('#status', 'Joined');
  await page.tab.click('#send');
  await page.lists('broadcast', 'message', 'hello');
  assert.deepEqual(page.complaints, []);
});
