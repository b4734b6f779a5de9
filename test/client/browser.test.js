'use strict';
// The unmodified bundle of supabase-js in a real browser, with the options of the README's snippet.
const test = require('node:test');
const assert = require('node:assert/strict');
const env = require('./lib/env');
const { openBrowser, servePage } = require('./lib/browser');
const { withTable, sql } = require('./lib/sql');
const { waitFor } = require('./lib/wait');

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

test('a page in headless Chromium receives an INSERT through a filter', async (t) => {
  const browser = await openBrowser(t);
  if (!browser) return;
  const source = await withTable(t, 'id int generated always as identity primary key, user_id int, body text');
  const address = await servePage(t, page(source.name));
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
