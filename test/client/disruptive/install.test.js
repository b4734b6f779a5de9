'use strict';
// Files in, files out; CREATE and DROP EXTENSION: what was there before is what is there afterwards.
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const test = require('node:test');
const assert = require('node:assert/strict');
const { Cluster } = require('../lib/cluster');
const { cleanup } = require('../lib/cleanup');
const { waitFor } = require('../lib/wait');

const kRoot = path.join(__dirname, '../../..');
const kEmptied = 'supabase_realtime_messages_publication';

const make = (target, directory) => execFileSync('make', ['-s', '-C', kRoot, target, `DESTDIR=${directory}`], { stdio: ['ignore', 'pipe', 'inherit'] });
const files = (directory) => execFileSync('find', [directory, '-type', 'f', '-printf', '%P %s\n']).toString().split('\n').filter(Boolean).sort();

test('make install, twice; make uninstall takes everything away', (t) => {
  const directory = fs.mkdtempSync(path.join(process.env.TMPDIR || '/tmp', 'realtime-install.'));
  cleanup(t, () => fs.rmSync(directory, { recursive: true }));
  make('install', directory);
  const first = files(directory);
  for (const name of [/\/realtime\.so /, /\/realtime\.control /, /\/realtime--[\d.]+\.sql /]) {
    assert.equal(first.filter((file) => name.test(file)).length, 1, String(name));
  }
  const pages = ['README.md', ...fs.readdirSync(path.join(kRoot, 'docs')).map((page) => `docs/${page}`)];
  for (const page of pages) assert.ok(first.some((file) => file.includes(`/extension/realtime/${page} `)), `${page}, where links to it lead`);
  make('install', directory);
  assert.deepEqual(files(directory), first);
  make('uninstall', directory);
  assert.deepEqual(files(directory), []);
});

// Everything in the database that is not PostgreSQL's own, and what is not in one.
const kObjects = `
  select pg_describe_object(classid, objid, 0) as object
    from (select 'pg_class'::regclass as classid, oid as objid from pg_class where relnamespace <> 'pg_toast'::regnamespace
          union all select 'pg_proc'::regclass, oid from pg_proc
          union all select 'pg_type'::regclass, oid from pg_type where typnamespace <> 'pg_toast'::regnamespace
          union all select 'pg_namespace'::regclass, oid from pg_namespace
          union all select 'pg_trigger'::regclass, oid from pg_trigger
          union all select 'pg_event_trigger'::regclass, oid from pg_event_trigger
          union all select 'pg_publication'::regclass, oid from pg_publication
          union all select 'pg_authid'::regclass, oid from pg_authid
          union all select 'pg_operator'::regclass, oid from pg_operator
          union all select 'pg_cast'::regclass, oid from pg_cast) o
   where objid >= 16384
   union all select 'slot ' || slot_name from pg_replication_slots order by 1`;

const objects = async (cluster) => (await cluster.sql(kObjects)).map((row) => row.object);

test('DROP EXTENSION leaves its empty schema behind and nothing else, whoever listened', async (t) => {
  const cluster = await Cluster.start(t, '', { extension: false });
  await cluster.sql(`create role anon; create role authenticated; create role service_role; create table proof (id int);
    grant select on proof to anon; create publication supabase_realtime for table proof`);
  const before = await objects(cluster);
  await cluster.sql('create extension realtime');
  await cluster.serving();
  const client = await cluster.client(t);
  await client.listen('realtime:proof', [{ event: '*', schema: 'public', table: 'proof' }]);
  await waitFor(async () => (await objects(cluster)).includes(`publication ${kEmptied}`), 'the publication of realtime.messages');
  await cluster.sql('drop extension realtime');
  const expected = [...before, 'schema realtime'].sort();
  let after;
  await waitFor(async () => {
    after = (await objects(cluster)).sort();
    return after.length === expected.length;
  }, () => `nothing to be left; there is ${after.filter((object) => !expected.includes(object)).join(', ')}`);
  assert.deepEqual(after, expected);
  await cluster.sql('drop schema realtime');
  await cluster.sql('create extension realtime; select realtime.install_supabase_roles()');
  await cluster.delivers(t);
});

test('a publication of that name that somebody uses stays', async (t) => {
  const cluster = await Cluster.start(t);
  const publication = async () => (await cluster.sql(`select oid from pg_publication where pubname = '${kEmptied}'`))[0]?.oid;
  await waitFor(publication, 'the publication');
  await cluster.sql(`create table mine (id int); drop publication if exists ${kEmptied}; create publication ${kEmptied} for table mine;
    drop extension realtime`);
  const mine = await publication();
  await cluster.log.line('extension realtime does not exist');
  // The worker has had its turn once what it does afterwards is done: it serves again.
  await cluster.sql('create extension realtime');
  await cluster.serving();
  assert.equal(await publication(), mine);
});
