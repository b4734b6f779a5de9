'use strict';
// Clients speak UTF-8, in ISO formats, whatever the database's encoding is and whatever its sessions are set to.
const test = require('node:test');
const assert = require('node:assert/strict');
const { Cluster } = require('../lib/cluster');
const { serveDatabase } = require('../lib/hosted');
const { makeToken } = require('../lib/token');

const tokenOf = (cluster, claims) => makeToken(claims, { secret: cluster.env.JWT_SECRET });
const record = async (client) => (await client.change()).payload.data.record;

async function listen(t, cluster, claims, bindings) {
  const client = await cluster.client(t);
  await client.listen('realtime:text', [].concat(bindings), { token: tokenOf(cluster, claims) });
  return client;
}

async function refusal(t, cluster, claims, binding) {
  const client = await cluster.client(t);
  const { payload } = await client.join('realtime:refused', { bindings: [binding], token: tokenOf(cluster, claims) });
  const system = payload.status === 'ok' ? await client.event('system') : null;
  if (system) assert.equal(system.payload.status, 'error');
  assert.equal((await client.heartbeat()).payload.status, 'ok', 'the socket stays open');
  return system ? system.payload.message : payload.response.reason;
}

const kLatin = `
  create table "größe" ("schlüssel" text primary key, "straße" text, owner text, big text, doc jsonb, list text[]);
  alter table "größe" alter big set storage external;
  alter table "größe" enable row level security;
  create policy owner on "größe" for select using (owner is null or (owner = auth.jwt() ->> 'name' and (big is null or big like 'ä%')));
  grant select on "größe" to authenticated;
  create table number (id int primary key); grant select on number to authenticated;
  select realtime.publish('"größe"', 'number')`;
const kSize = { event: '*', schema: 'public', table: 'größe' };
const kLatin1 = "encoding 'LATIN1' lc_collate 'C' lc_ctype 'C'";

test('LATIN1: values, names, filters and claims of clients are UTF-8', async (t) => {
  const cluster = await Cluster.start(t);
  const query = await serveDatabase(cluster, 'latin', kLatin, { create: kLatin1 });
  assert.equal((await query('show server_encoding'))[0].server_encoding, 'LATIN1');
  const jurgen = await listen(t, cluster, { name: 'Jürgen' }, kSize);
  const jurgens = await listen(t, cluster, { name: 'Jurgen' }, kSize);
  const street = await listen(t, cluster, { name: 'Jürgen' }, { ...kSize, filter: 'straße=eq.Bäckerstraße' });
  await query(`insert into "größe" values ('ä', 'Bäckerstraße', 'Jürgen', repeat('ä', 9000), '{"ö": "ü"}', '{é,"ñ,"}')`);
  const inserted = { schlüssel: 'ä', straße: 'Bäckerstraße', owner: 'Jürgen', big: 'ä'.repeat(9000), doc: { ö: 'ü' }, list: ['é', 'ñ,'] };
  const { data } = (await jurgen.change()).payload;
  assert.deepEqual(data.record, inserted);
  assert.equal(data.table, 'größe');
  assert.deepEqual(data.columns.map((column) => column.name), Object.keys(inserted));
  assert.deepEqual(await record(street), inserted);

  // The value that the log does not repeat is looked up by a key that has to be converted back.
  await query(`update "größe" set "straße" = 'Weg'; insert into "größe" values ('end', 'Bäckerstraße')`);
  const { big, ...rest } = inserted;
  assert.deepEqual(await record(jurgen), { ...rest, straße: 'Weg' }, `${big.length} characters that did not change`);
  assert.equal((await record(street)).schlüssel, 'end', 'not the row that left the filter');
  assert.equal((await record(jurgens)).schlüssel, 'end', 'not the rows of somebody else');
  await query('alter table "größe" disable row level security; delete from "größe"');
  await jurgen.change();  // end, inserted
  assert.deepEqual((await jurgen.change()).payload.data.old_record, { schlüssel: 'ä' });
});

test('LATIN1: what the encoding does not have is refused or not shown, and harms nobody else', async (t) => {
  const cluster = await Cluster.start(t);
  const query = await serveDatabase(cluster, 'latin', kLatin, { create: kLatin1 });
  const number = { event: '*', schema: 'public', table: 'number' };
  assert.match(await refusal(t, cluster, {}, { ...kSize, filter: 'straße=eq.名' }), /has no equivalent in encoding "LATIN1"/);
  assert.match(await refusal(t, cluster, {}, { ...number, filter: 'id=eq.ä' }), /invalid input syntax for type integer: "ä"/);
  assert.match(await refusal(t, cluster, {}, { ...kSize, table: '名' }), /名/);
  assert.match(await refusal(t, cluster, { role: '名' }, kSize), /has no equivalent in encoding "LATIN1"/);

  const foreign = await listen(t, cluster, { name: '名' }, kSize);
  const local = await listen(t, cluster, { name: 'Jürgen' }, kSize);
  await query(`insert into "größe" values ('a', null, 'Jürgen'), ('b', null, 'Jürgen')`);
  assert.deepEqual([(await record(local)).schlüssel, (await record(local)).schlüssel], ['a', 'b']);
  const { data } = (await foreign.change()).payload;
  assert.deepEqual(data.record, {}, 'a claim that a policy cannot be told shows nothing');
  assert.match(data.errors[0], /RLS policy evaluation failed/);
});

test('SQL_ASCII: bytes that are not UTF-8 become U+FFFD, and UTF-8 stays what it is', async (t) => {
  const cluster = await Cluster.start(t);
  const query = await serveDatabase(cluster, 'bytes', `
    create function raw(bytea) returns text language sql immutable return convert_from($1, 'SQL_ASCII');
    create type pair as (a text);
    do $$ begin execute format('create type own as enum (%L, %L)', raw('\\xe4'), 'ä'); end $$;
    create function own_json(own) returns json language sql return to_json('own ' || $1::text);
    create cast (own as json) with function own_json(own);
    create table text (id int primary key, body text, list text[], doc jsonb, pair pair, own own);
    alter table text enable row level security;
    create policy name on text for select using (body = auth.jwt() ->> 'name' or id > 1);
    do $$ begin
      execute format('create table %I (id int primary key, %I text)', raw('\\x74ff'), raw('\\x63fe'));
      execute format('select realtime.publish(%L)', quote_ident(raw('\\x74ff')));
    end $$;
    select realtime.publish('text');
    grant select on all tables in schema public to authenticated`, { create: "encoding 'SQL_ASCII' lc_collate 'C' lc_ctype 'C'" });
  const all = await listen(t, cluster, { name: 'Jürgen' }, { event: '*', schema: 'public' });
  const filtered = await listen(t, cluster, {}, { event: '*', schema: 'public', table: 'text', filter: 'body=eq.Größe' });
  await query("insert into text values (1, 'Jürgen'), (2, 'Größe')");
  assert.equal((await record(all)).body, 'Jürgen');
  assert.equal((await record(all)).body, 'Größe');
  assert.equal((await record(filtered)).id, 2);

  await query(`insert into text values (3, raw('\\x61ff62c3'), array[raw('\\xc3'), 'ä'], ('{"k": "' || raw('\\xe4') || '"}')::jsonb, row(raw('\\xe4')), raw('\\xe4')::own), (4, '', null, null, null, 'ä')`);
  // JSON that is no JSON to anybody else is shown as the text that it is.
  assert.deepEqual(await record(all), { id: 3, body: 'a\ufffdb\ufffd', list: ['\ufffd', 'ä'], doc: '{"k": "\ufffd"}', pair: { a: '\ufffd' }, own: '\ufffd' });
  assert.equal((await record(all)).own, 'own ä');
  await query("do $$ begin execute format('insert into %I values (4, %L)', raw('\\x74ff'), raw('\\xc080')); end $$");
  const { data } = (await all.change()).payload;
  assert.equal(data.table, 't\ufffd');
  assert.deepEqual(data.columns.map((column) => column.name), ['id', 'c\ufffd']);
  assert.deepEqual(data.record, { id: 4, 'c\ufffd': '\ufffd\ufffd' });
  assert.equal((await all.heartbeat()).payload.status, 'ok', 'the socket stays open');
});

// What a policy cannot see through, or a judge work with, were it left as it is.
const kSettings = {
  datestyle: "'German'", intervalstyle: "'sql_standard'", timezone: "'Asia/Tokyo'", bytea_output: "'escape'", extra_float_digits: -3,
  client_encoding: "'LATIN1'", quote_all_identifiers: 'on', row_security: 'off', statement_timeout: 1000,
  default_transaction_isolation: "'serializable'", default_transaction_read_only: 'on', default_transaction_deferrable: 'on',
};
const kFormats = `
  create table formats (id int primary key, d date, ts timestamp, tz timestamptz, i interval, b bytea, f float8, r tstzrange, a date[], e text);
  create table member (id int, name text);
  alter table formats enable row level security; alter table member enable row level security;
  create policy own on member for select using (name = auth.jwt() ->> 'name');
  create policy member on formats for select using (exists (select from member m where m.id = formats.id)
    and tz::text = '2024-02-03 04:05:06+00' and i::text = '1 day 02:00:00' and b::text = '\\x00ff' and f::text = '0.1'
    and current_setting('transaction_isolation') = 'read committed');
  grant select on formats, member to authenticated;
  select realtime.publish('formats')`;
const kMember = (id) => `insert into member values (${id}, 'Jürgen')`;
const kRow = (id) => `insert into formats values (${id}, '2024-02-03', '2024-02-03 04:05:06', '2024-02-03 04:05:06Z', '1 day 2 hours',
  '\\x00ff', 0.1, '[2024-02-03 04:05:06Z,)', '{2024-02-03}', 'é')`;

test('settings of the database change neither what events look like nor what policies say', async (t) => {
  const cluster = await Cluster.start(t);
  const seen = [];
  for (const [name, settings] of [['plain', {}], ['tuned', kSettings]]) {
    const query = await serveDatabase(cluster, name, kFormats, { settings });
    const client = await listen(t, cluster, { name: 'Jürgen' }, { event: '*', schema: 'public', table: 'formats', filter: 'd=gte.2024-02-03' });
    // Two commits at once, each with the membership that its row needs.
    await Promise.all([1, 2].map((id) => query(`begin read write; ${kMember(id)}; ${kRow(id)}; commit`)));
    const records = [await record(client), await record(client)].sort((a, b) => a.id - b.id);
    seen.push(records);
  }
  assert.deepEqual(seen[1], seen[0]);
  assert.deepEqual(seen[0][0], {
    id: 1, d: '2024-02-03', ts: '2024-02-03T04:05:06', tz: '2024-02-03T04:05:06+00:00', i: '1 day 02:00:00', b: '00ff', f: 0.1,
    r: '["2024-02-03 04:05:06+00",)', a: ['2024-02-03'], e: 'é',
  });
});
