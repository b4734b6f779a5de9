'use strict';
// realtime.max_record_bytes, changed while clients listen.
const test = require('node:test');
const assert = require('node:assert/strict');
const { withTable, sql } = require('../lib/sql');
const { makeClient, subscribe, table } = require('../lib/clients');
const { withSetting } = require('../lib/server');

const kTooLarge = ['Error 413: Payload Too Large'];

// Inserts rows of this size until one of them has this outcome, because a reload takes its time.
async function insertUntil(recording, source, size, errors) {
  for (let done = false; !done;) {
    const seen = recording.events.length;
    await sql(`insert into ${source.quoted} (big) values (repeat('x', ${size}))`);
    await recording.count(seen + 1);
    const event = recording.events[seen];
    done = JSON.stringify(event.errors) === JSON.stringify(errors);
    if (done) return event;
  }
  return null;
}

test('a lower limit cuts what was whole before, a higher one lets through what was cut', async (t) => {
  const source = await withTable(t, 'id int generated always as identity primary key, big text');
  const recording = await subscribe(await makeClient(t), table(source));
  await sql(`insert into ${source.quoted} (big) values (repeat('x', 5000))`);
  await recording.count(1);
  assert.equal(recording.events[0].new.big.length, 5000);
  await withSetting(t, 'realtime.max_record_bytes', '4kB');
  assert.equal((await insertUntil(recording, source, 5000, kTooLarge)).new.big, undefined);
  await withSetting(t, 'realtime.max_record_bytes', '32MB');
  const event = await insertUntil(recording, source, 20 * 1024 * 1024, null);
  assert.equal(event.new.big.length, 20 * 1024 * 1024);
});
