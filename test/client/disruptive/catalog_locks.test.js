'use strict';
// Catalogs that cannot be read for a while: VACUUM FULL and REINDEX lock them. Nothing is lost by it.
const test = require('node:test');
const assert = require('node:assert/strict');
const { withTable, connect, sql, one, uniqueName } = require('../lib/sql');
const { makeClient, subscribe, table } = require('../lib/clients');
const { makeToken } = require('../lib/token');
const { cleanup } = require('../lib/cleanup');
const { waitFor } = require('../lib/wait');
const { lock } = require('../lib/locks');

async function withRoles(t, ...names) {
  const roles = names.map((name) => uniqueName(name));
  for (const role of roles) {
    await sql(`create role ${role}`);
    cleanup(t, async () => {
      await sql(`drop owned by ${role}`);
      await sql(`drop role ${role}`);
    });
  }
  return roles;
}

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
  const [owner] = await withRoles(t, 'owner');
  const source = await withTable(t, 'id int primary key');
  await waitsFor(t, 'pg_catalog.pg_authid', source, undefined, () => sql(`alter table ${source.quoted} owner to ${owner}`));
});

test('so do those for a role whose memberships cannot be looked up for a while', async (t) => {
  const [member, group, another] = await withRoles(t, 'member', 'group', 'another');
  const source = await withTable(t, 'id int primary key');
  await sql(`grant select on ${source.quoted} to ${group}`);
  await sql(`grant ${group} to ${member}`);
  await waitsFor(t, 'pg_catalog.pg_auth_members', source, makeToken({ role: member }), () => sql(`grant ${another} to ${member}`));
});
