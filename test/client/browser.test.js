'use strict';
// The unmodified bundle of supabase-js in a real browser, with the options of the README's snippet.
const test = require('node:test');
const assert = require('node:assert/strict');
const fs = require('node:fs');
const http = require('node:http');
const path = require('node:path');
const env = require('./lib/env');
const { cleanup } = require('./lib/cleanup');
const { withTable, sql } = require('./lib/sql');
const { waitFor } = require('./lib/wait');

const kChromium = process.env.CHROMIUM || '/usr/bin/chromium';
const kBundle = path.join(__dirname, 'node_modules/@supabase/supabase-js/dist/umd/supabase.js');

const page = (table) => `<!doctype html><meta charset="utf-8"><title>realtime</title>
<script src="/supabase.js"></script>
<script>
  window.events = [];
  window.statuses = [];
  const client = supabase.createClient(${JSON.stringify(env.url)}, ${JSON.stringify(env.anonKey)});
  client.channel('schema-db-changes')
    .on('postgres_changes', { event: 'INSERT', schema: 'public', table: ${JSON.stringify(table)}, filter: 'user_id=eq.123' },
      (payload) => window.events.push(payload))
    .on('system', {}, (message) => window.statuses.push(message.message))
    .subscribe((status) => window.statuses.push(status));
</script>`;

async function serve(t, table) {
  const server = http.createServer((request, response) => {
    const isBundle = request.url === '/supabase.js';
    response.setHeader('content-type', isBundle ? 'text/javascript; charset=utf-8' : 'text/html; charset=utf-8');
    response.end(isBundle ? fs.readFileSync(kBundle) : page(table));
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanup(t, () => new Promise((resolve) => { server.close(resolve); server.closeAllConnections(); }));
  return `http://127.0.0.1:${server.address().port}/`;
}

test('a page in headless Chromium receives an INSERT through a filter', async (t) => {
  if (!fs.existsSync(kChromium)) {
    console.log(`# skipped: no browser at ${kChromium} (install chromium, or set CHROMIUM)`);
    t.skip(`no browser at ${kChromium}`);
    return;
  }
  const { chromium } = require('playwright-core');
  const source = await withTable(t, 'id int generated always as identity primary key, user_id int, body text');
  const address = await serve(t, source.name);
  const browser = await chromium.launch({ executablePath: kChromium, args: ['--no-sandbox', '--disable-dev-shm-usage'] });
  cleanup(t, () => browser.close());
  const tab = await browser.newPage();
  const complaints = [];
  tab.on('pageerror', (error) => complaints.push(String(error)));
  await tab.goto(address);
  const statuses = () => tab.evaluate('window.statuses');
  await waitFor(async () => (await statuses()).includes('Subscribed to PostgreSQL'), 'the subscription in the page');
  await sql(`insert into ${source.quoted} (user_id, body) values (122, 'not this'), (123, 'hello browser')`);
  const events = await waitFor(async () => {
    const seen = await tab.evaluate('window.events');
    return seen.length > 0 && seen;
  }, 'an event in the page');
  assert.equal(events.length, 1);
  assert.equal(events[0].eventType, 'INSERT');
  assert.deepEqual([events[0].new.user_id, events[0].new.body], [123, 'hello browser']);
  assert.ok((await statuses()).includes('SUBSCRIBED'));
  assert.deepEqual(complaints, []);
});
