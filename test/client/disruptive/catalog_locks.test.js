'use strict';
// Catalogs that cannot be read for a while: VACUUM FULL and REINDEX lock them. Nothing is lost by it.
const test = require('node:test');
const assert = require('node:assert/strict');
const { withTable, withRole, connect, sql, one } = require('../lib/sql');
const { makeClient, subscribe, table } = require('../lib/clients');
const { makeToken } = require('../lib/token');
const { Log } = require('../lib/log');
const { RawClient } = require('../lib/raw');
const { waitFor } = require('../lib/wait');
const { lock } = require('../lib/locks');

// Inserts by a session that has the table in its caches, and so needs no catalog for it.
async function inserter(t, source) {
  const client = await connect(t);
  const insert = (id) => client.query(`insert into ${source.quoted} values (${id})`);
  await client.query('begin');
  await insert(0);
  await client.query('rollback');
  return insert;
}

// The row comes while the catalog is locked; nothing else has needed the table, or what `news` has changed, before.
async function waitsFor(t, catalog, source, token, news) {
  const waiting = await subscribe(await makeClient(t, { token }), table(source));
  const insert = await inserter(t, source);
  const parked = () => one('select parked_rows from realtime.stat_worker').then(Number);
  await parked();
  await news();
  const holder = await lock(t, { quoted: catalog });
  await insert(1);
  await waitFor(async () => await parked() === 1, 'the row to wait');
  assert.deepEqual(waiting.events, []);
  await holder.query('rollback');
  await insert(2);
  await waiting.count(2);
  assert.deepEqual(waiting.events.map((event) => [event.new.id, event.errors]), [[1, null], [2, null]]);
}

test('changes of a table that cannot be looked up for a while wait, and arrive', async (t) => {
  const owner = await withRole(t);
  const source = await withTable(t, 'id int primary key');
  await waitsFor(t, 'pg_catalog.pg_authid', source, undefined, () => sql(`alter table ${source.quoted} owner to ${owner}`));
});

test('so do those for a role whose memberships cannot be looked up for a while', async (t) => {
  const [member, group, another] = [await withRole(t), await withRole(t), await withRole(t)];
  const source = await withTable(t, 'id int primary key');
  await sql(`grant select on ${source.quoted} to ${group}`);
  await sql(`grant ${group} to ${member}`);
  await waitsFor(t, 'pg_catalog.pg_auth_members', source, makeToken({ role: member }), () => sql(`grant ${another} to ${member}`));
});

// Looked at once a second, for CREATE and DROP EXTENSION.
test('changes and joins go on while pg_extension is locked', async (t) => {
  const source = await withTable(t, 'id int primary key');
  const waiting = await subscribe(await makeClient(t), table(source));
  const log = new Log();
  const holder = await lock(t, { quoted: 'pg_catalog.pg_extension' });
  await log.line('could not look for extension realtime');
  await sql(`insert into ${source.quoted} values (1)`);
  await waiting.count(1);
  const another = await subscribe(await makeClient(t), table(source));
  await sql(`insert into ${source.quoted} values (2)`);
  await another.count(1);
  await waiting.count(2);
  await holder.query('rollback');
});

test('a join waits for a lock on the publication\'s tables, alone, and is served after it', async (t) => {
  const source = await withTable(t, 'id int primary key');
  const log = new Log();
  const waiting = await subscribe(await makeClient(t), table(source));
  await sql(`insert into ${source.quoted} values (1)`);  // walsender then needs the catalog no more
  await waiting.count(1);
  const holder = await lock(t, { quoted: 'pg_catalog.pg_publication_rel' });
  const raw = await RawClient.open(t);
  const join = () => raw.push('realtime:locked', 'phx_join', { config: { postgres_changes: [table(source)] } }, { ref: 'j1', join_ref: 'j1' });
  const ref = join();
  await log.line('could not look up the tables of a subscription, and tries again');
  await sql(`insert into ${source.quoted} values (2)`);
  await waiting.count(2);
  assert.ok(!raw.frames.some((frame) => frame.ref === ref && frame.event === 'phx_reply' && frame.payload.status !== 'ok'), 'it waits');
  await holder.query('rollback');
  assert.equal((await raw.reply(ref)).payload.status, 'ok');
  await waitFor(() => raw.frames.find((frame) => frame.event === 'system'), 'the word that it is subscribed');
  await sql(`insert into ${source.quoted} values (3)`);
  assert.equal((await raw.change()).payload.data.record.id, 3);
  await waiting.count(3);
  assert.equal(log.count('could not look up the tables of a subscription'), 1);
});

test('a join that waits for a lock in vain is refused with the cause', async (t) => {
  const source = await withTable(t, 'id int primary key');
  const waiting = await subscribe(await makeClient(t), table(source));
  const holder = await lock(t, { quoted: 'pg_catalog.pg_publication_rel' });
  const raw = await RawClient.open(t);
  const reply = await raw.join('realtime:refused', { bindings: [table(source)] });
  assert.equal(reply.payload.status, 'error');
  assert.match(reply.payload.response.reason, /^UnableToSubscribe: .* is locked$/);
  await holder.query('rollback');
  await raw.listen('realtime:refused', [table(source)]);
  await sql(`insert into ${source.quoted} values (1)`);
  await raw.change();
  await waiting.count(1);
});
