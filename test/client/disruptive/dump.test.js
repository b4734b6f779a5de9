'use strict';
// A database that is served can be dumped, and is served where the dump is restored.
const { execFileSync } = require('node:child_process');
const test = require('node:test');
const assert = require('node:assert/strict');
const { Cluster } = require('../lib/cluster');
const { makeToken } = require('../lib/token');

const bindir = execFileSync('pg_config', ['--bindir']).toString().trim();

function run(program, cluster, options, input) {
  const env = { ...process.env, PGHOST: cluster.env.PGHOST, PGPORT: cluster.env.PGPORT, PGUSER: cluster.env.PGUSER, PGDATABASE: 'postgres' };
  return execFileSync(`${bindir}/${program}`, options, { env, input, stdio: ['pipe', 'pipe', 'inherit'] }).toString();
}
const restore = (cluster, dump) => run('psql', cluster, ['-X', '-q', '-v', 'ON_ERROR_STOP=1'], dump);

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
  await serves(t, target, 5);
  assert.ok(client.frames.every((frame) => frame.event !== 'postgres_changes' || [4, 6].includes(frame.payload.data.record.id)));
});
