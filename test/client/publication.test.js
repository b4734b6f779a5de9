'use strict';
// What the publication says is what clients get: its column lists, row filters and operations; and tables without a primary key.
const test = require('node:test');
const assert = require('node:assert/strict');
const { withTable, publish, alterPublication, sql } = require('./lib/sql');
const { table } = require('./lib/clients');
const { RawClient } = require('./lib/raw');
const { userToken } = require('./lib/token');

const kAnn = '00000000-0000-4000-8000-000000000001';
const kBob = '00000000-0000-4000-8000-000000000002';

// A table that is published with this clause behind its name: a column list, a WHERE, or both.
async function publishedAs(t, columns, clause, options = {}) {
  const source = await withTable(t, columns, options);
  await alterPublication(`drop table ${source.quoted}`);
  await alterPublication(`add table ${source.quoted} ${clause}`);
  return source;
}

async function listen(t, source, options = {}) {
  const client = await RawClient.open(t);
  await client.listen('realtime:published', [table(source, options.binding)], options.token ? { token: options.token } : {});
  return client;
}

const dataOf = async (client) => (await client.change()).payload.data;

test('a column that the publication leaves out is in no event, whatever the roles may read', async (t) => {
  const source = await publishedAs(t, 'id int primary key, open text, hidden text, twice text generated always as (hidden || hidden) stored', '(id, open)');
  const client = await listen(t, source);
  await sql(`insert into ${source.quoted} values (1, 'a', 'unsaid')`);
  await sql(`update ${source.quoted} set open = 'b', hidden = 'unsaid too'`);
  await sql(`delete from ${source.quoted}`);
  assert.deepEqual((await dataOf(client)).record, { id: 1, open: 'a' });
  const update = await dataOf(client);
  assert.deepEqual([update.record, update.old_record], [{ id: 1, open: 'b' }, { id: 1 }]);
  assert.deepEqual((await dataOf(client)).old_record, { id: 1 });
  assert.ok(!client.frames.some((frame) => frame.text.includes('unsaid')));
});

test('a policy may depend on a column that the publication leaves out, and the event still goes without it', async (t) => {
  const source = await publishedAs(t, 'id int primary key, open text, user_id uuid', '(id, open)',
    { rls: ['for select to authenticated using (auth.uid() = user_id)'] });
  const client = await listen(t, source, { token: userToken(kAnn) });
  await sql(`insert into ${source.quoted} values (1, 'a', '${kBob}'), (2, 'b', '${kAnn}')`);
  assert.deepEqual((await dataOf(client)).record, { id: 2, open: 'b' });
  await sql(`update ${source.quoted} set open = 'c'`);
  assert.deepEqual((await dataOf(client)).record, { id: 2, open: 'c' });
  assert.ok(!client.frames.some((frame) => frame.text.includes(kAnn) && frame.event === 'postgres_changes'));
});

test('a filter on a column that the publication leaves out', async (t) => {
  const source = await publishedAs(t, 'id int primary key, open text, n int', '(id, open)');
  const client = await listen(t, source, { binding: { filter: 'n=eq.1' } });
  await sql(`insert into ${source.quoted} values (1, 'a', 2), (2, 'b', 1)`);
  assert.deepEqual((await dataOf(client)).record, { id: 2, open: 'b' });
});

test('a row filter of the publication: rows outside it are silent, rows that cross it come and go', async (t) => {
  const source = await publishedAs(t, 'id int primary key, n int', 'where (n > 0)', { full: true });
  const client = await listen(t, source);
  await sql(`insert into ${source.quoted} values (1, 0)`);
  await sql(`insert into ${source.quoted} values (2, 1)`);
  await sql(`update ${source.quoted} set n = 5 where id = 2`);
  await sql(`update ${source.quoted} set n = 7 where id = 1`);
  await sql(`update ${source.quoted} set n = 0 where id = 2`);
  await sql(`delete from ${source.quoted} where id = 2`);
  await sql(`delete from ${source.quoted} where id = 1`);
  const seen = [];
  for (let i = 0; i < 5; i += 1) {
    const { type, record, old_record } = await dataOf(client);
    seen.push([type, record, old_record]);
  }
  assert.deepEqual(seen, [
    ['INSERT', { id: 2, n: 1 }, undefined],
    ['UPDATE', { id: 2, n: 5 }, { id: 2, n: 1 }],
    ['INSERT', { id: 1, n: 7 }, undefined],
    ['DELETE', undefined, { id: 2, n: 5 }],
    ['DELETE', undefined, { id: 1, n: 7 }],
  ]);
});

test('column list and row filter together, changed while a client listens', async (t) => {
  const source = await publishedAs(t, 'id int primary key, a text, b text', '(id, a) where (id > 10)');
  const client = await listen(t, source);
  await sql(`insert into ${source.quoted} values (1, 'a', 'b'), (11, 'a', 'b')`);
  assert.deepEqual((await dataOf(client)).record, { id: 11, a: 'a' });
  await alterPublication(`drop table ${source.quoted}`);
  await alterPublication(`add table ${source.quoted} (id, b) where (id > 20)`);
  await sql(`insert into ${source.quoted} values (12, 'a', 'b'), (21, 'a', 'b')`);
  assert.deepEqual((await dataOf(client)).record, { id: 21, b: 'b' });
});

test('a table joins the publication under a wildcard, leaves it and is silent', async (t) => {
  const source = await withTable(t, 'id int primary key', { publish: false });
  const witness = await withTable(t, 'id int primary key');
  const client = await RawClient.open(t);
  await client.listen('realtime:joining', [{ event: '*', schema: 'public', table: '*' }]);
  const next = async () => (await client.next((frame) => frame.event === 'postgres_changes' &&
    [source.name, witness.name].includes(frame.payload.data.table), 'a change of either table')).payload.data;
  const insert = async (id) => {
    await sql(`insert into ${source.quoted} values (${id})`);
    await sql(`insert into ${witness.quoted} values (${id})`);
  };
  await insert(1);
  await publish(source.quoted);
  await insert(2);
  await alterPublication(`drop table ${source.quoted}`);
  await insert(3);
  const seen = [];
  for (let i = 0; i < 4; i += 1) {
    const { table: name, record } = await next();
    seen.push([name === source.name ? 'source' : 'witness', record.id]);
  }
  assert.deepEqual(seen, [['witness', 1], ['source', 2], ['witness', 2], ['witness', 3]]);
});

test('a table without primary key: every operation, each with its own row', async (t) => {
  const source = await withTable(t, 'a int, b text', { full: true });
  const client = await listen(t, source);
  await sql(`insert into ${source.quoted} values (1, 'x')`);
  await sql(`update ${source.quoted} set b = null`);
  await sql(`delete from ${source.quoted}`);
  const insert = await dataOf(client);
  assert.deepEqual([insert.type, insert.record, insert.errors], ['INSERT', { a: 1, b: 'x' }, null]);
  assert.match(insert.commit_timestamp, /^\d{4}-/);
  const update = await dataOf(client);
  assert.deepEqual([update.type, update.record, update.old_record, update.errors], ['UPDATE', { a: 1, b: null }, { a: 1, b: 'x' }, null]);
  const remove = await dataOf(client);
  assert.deepEqual([remove.type, remove.old_record, remove.errors], ['DELETE', { a: 1, b: null }, null]);
});

test('a table without primary key is judged by its policies, and filtered', async (t) => {
  const source = await withTable(t, 'a int, user_id uuid', { full: true, rls: ['for select to authenticated using (auth.uid() = user_id)'] });
  const client = await listen(t, source, { token: userToken(kAnn), binding: { filter: 'a=gt.1' } });
  await sql(`insert into ${source.quoted} values (1, '${kAnn}'), (2, '${kBob}'), (3, '${kAnn}')`);
  assert.deepEqual((await dataOf(client)).record, { a: 3, user_id: kAnn });
  await sql(`delete from ${source.quoted}`);
  assert.deepEqual((await dataOf(client)).old_record, { a: 3, user_id: kAnn });
});

test('a role that may read some columns of a table without primary key gets these', async (t) => {
  const source = await withTable(t, 'a int, secret text', { grant: null });
  await sql(`grant select (a) on ${source.quoted} to anon`);
  const client = await listen(t, source);
  await sql(`insert into ${source.quoted} values (1, 'hidden')`);
  const { record, columns, errors } = await dataOf(client);
  assert.deepEqual([record, columns, errors], [{ a: 1 }, [{ name: 'a', type: 'int4' }], null]);
});
