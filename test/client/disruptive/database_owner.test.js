'use strict';
// The database's owner is a member of pg_database_owner without a row in pg_auth_members.
const test = require('node:test');
const assert = require('node:assert/strict');
const { withTable, withRole, sql, one } = require('../lib/sql');
const { makeClient, subscribe, table } = require('../lib/clients');
const { makeToken } = require('../lib/token');
const { cleanup } = require('../lib/cleanup');

test('rights and policies of pg_database_owner follow the owner of the database at once', async (t) => {
  const name = await one('select quote_ident(current_database())');
  const before = await one('select datdba::regrole from pg_database where datname = current_database()');
  const owner = await withRole(t);
  cleanup(t, () => sql(`alter database ${name} owner to ${before}`));
  const granted = await withTable(t, 'id int primary key', { grant: 'pg_database_owner' });
  const shown = await withTable(t, 'id int primary key', { grant: owner, rls: ['for select to pg_database_owner using (true)'] });
  const open = await withTable(t, 'id int primary key', { grant: owner });
  await sql(`alter database ${name} owner to ${owner}`);
  const recording = await subscribe(await makeClient(t, { token: makeToken({ role: owner }) }), [granted, shown, open].map((one) => table(one)));
  const insert = async (id) => {
    for (const source of [granted, shown, open]) await sql(`insert into ${source.quoted} values (${id})`);
    await recording.event((event) => event.table === open.name && event.new.id === id);
    return recording.events.splice(0).map((event) => [event.table, event.new.id ?? event.errors[0]]);
  };
  const all = (id) => [granted, shown, open].map((source) => [source.name, id]);
  assert.deepEqual(await insert(1), all(1));
  await sql(`alter database ${name} owner to ${before}`);
  assert.deepEqual(await insert(2), [[granted.name, 'Error 401: Unauthorized'], [open.name, 2]]);
  await sql(`alter database ${name} owner to ${owner}`);
  assert.deepEqual(await insert(3), all(3));
});
