'use strict';
// A database that is served can be dumped, and is served where the dump is restored.
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const test = require('node:test');
const assert = require('node:assert/strict');
const { Cluster } = require('../lib/cluster');
const { makeToken } = require('../lib/token');
const { waitFor } = require('../lib/wait');

const bindir = execFileSync('pg_config', ['--bindir']).toString().trim();

function run(program, cluster, options, input) {
  const env = { ...process.env, PGHOST: cluster.env.PGHOST, PGPORT: cluster.env.PGPORT, PGUSER: cluster.env.PGUSER, PGDATABASE: 'postgres' };
  return execFileSync(`${bindir}/${program}`, options, { env, input, stdio: ['pipe', 'pipe', 'inherit'] }).toString();
}
// In one transaction, or the worker would make what the dump is about to make.
const restore = (cluster, dump) => run('psql', cluster, ['-X', '-q', '-1', '-v', 'ON_ERROR_STOP=1'], dump);

// The stream has passed what is committed. Of what was written between a DROP and a CREATE PUBLICATION nothing can be decoded:
// whoever joins before it has been passed is told that changes may have been missed.
async function passed(cluster) {
  const [{ lsn }] = await cluster.sql('select pg_current_wal_lsn() as lsn');
  const behind = `select from pg_replication_slots where confirmed_flush_lsn is null or confirmed_flush_lsn < '${lsn}'`;
  await waitFor(async () => (await cluster.sql(behind)).length === 0, `the stream to pass ${lsn}`, 60000);
}

// A row of the user's own arrives, one of somebody else does not.
async function serves(t, cluster, id) {
  await cluster.serving();
  const token = makeToken({ sub: '00000000-0000-4000-8000-000000000001' }, { secret: cluster.env.JWT_SECRET });
  const client = await cluster.client(t);
  await client.listen('realtime:dump', [{ event: 'INSERT', schema: 'public', table: 'kept' }], { token });
  await cluster.sql(`insert into kept values (${id}, gen_random_uuid()), (${id + 1}, '00000000-0000-4000-8000-000000000001')`);
  assert.equal((await client.change()).payload.data.record.id, id + 1);
  return client;
}

test('pg_dump carries the extension and the publication; the restored database is served, also after a restore over it', async (t) => {
  const origin = await Cluster.start(t);
  await origin.sql(`create table kept (id int primary key, owner uuid); alter table kept enable row level security;
    create policy own on kept for select using ((select auth.uid()) = owner);
    grant select on kept to authenticated; select realtime.publish('kept')`);
  await serves(t, origin, 1);
  const dump = run('pg_dump', origin, []);
  assert.equal(dump.match(/CREATE EXTENSION IF NOT EXISTS realtime /g).length, 1);
  assert.equal(dump.match(/CREATE PUBLICATION supabase_realtime /g).length, 1);
  assert.doesNotMatch(dump, /(CREATE FUNCTION|ON SCHEMA) realtime\b/, 'what the extension makes comes with it');

  const target = await Cluster.start(t, '', { extension: false });
  await target.sql('create role anon; create role authenticated; create role service_role bypassrls');  // pg_dumpall --roles-only
  restore(target, dump);
  const client = await serves(t, target, 3);
  assert.deepEqual((await target.sql('select id from kept order by id')).map((row) => row.id), [1, 2, 3, 4], 'the rows too');

  // Drops everything, the extension too, from under the client that listens.
  restore(target, run('pg_dump', origin, ['--clean', '--if-exists']));
  await passed(target);
  await serves(t, target, 5);
  assert.ok(client.frames.every((frame) => frame.event !== 'postgres_changes' || [4, 6].includes(frame.payload.data.record.id)));
});

test('policies of realtime.messages are not dumped: the query of docs/install.md writes them, and they mean the same again', async (t) => {
  const page = fs.readFileSync(path.join(__dirname, '../../../docs/install.md'), 'utf8');
  const [query] = page.match(/SET search_path = '';\n *SELECT format\('CREATE POLICY[\s\S]*?RESET search_path;/);
  const policies = (cluster) => cluster.sql("select * from pg_policies where schemaname = 'realtime' order by policyname");
  const origin = await Cluster.start(t);
  await origin.sql(`create schema app; create table app.members (user_id uuid, topic text);
    grant usage on schema app to authenticated; grant select on app.members to authenticated;
    insert into app.members values ('00000000-0000-4000-8000-000000000001', 'kept'); set search_path = app, public;
    create policy "members'; drop" on realtime.messages for select to authenticated, service_role
      using (exists (select from members m where m.user_id = (select auth.uid()) and m.topic = (select realtime.topic())));
    create policy send on realtime.messages for insert to authenticated with check (extension = 'broadcast');
    create policy narrow on realtime.messages as restrictive for all using (true) with check (topic <> 'closed')`);
  const dump = run('pg_dump', origin, []);
  assert.doesNotMatch(dump, /CREATE POLICY/, 'else the page is wrong');
  const ddl = run('psql', origin, ['-X', '-A', '-t', '-q'], query);

  const target = await Cluster.start(t, '', { extension: false });
  await target.sql('create role anon; create role authenticated; create role service_role bypassrls');
  restore(target, dump);
  assert.deepEqual(await policies(target), []);
  restore(target, ddl);
  const restored = await policies(target);
  assert.equal(restored.length, 3);
  assert.deepEqual(restored, await policies(origin));

  await target.serving();
  const token = makeToken({ sub: '00000000-0000-4000-8000-000000000001' }, { secret: target.env.JWT_SECRET });
  const client = await target.client(t, { vsn: '1.0.0' });
  const join = (topic) => client.join(`realtime:${topic}`, { config: { private: true }, token });
  assert.equal((await join('other')).payload.status, 'error');
  assert.equal((await join('kept')).payload.status, 'ok');
  await target.sql("select realtime.send('{\"a\": 1}', 'restored', 'kept')");
  assert.equal((await client.broadcast()).payload.event, 'restored');
});
