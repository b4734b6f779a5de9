'use strict';
// ALTER EXTENSION realtime UPDATE: from every version whose scripts are in sql/, and from one made up here, so that the way is
// tested before there is a second version. An older version's SQL meets this library meanwhile: nothing may crash.
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const test = require('node:test');
const assert = require('node:assert/strict');
const { Cluster } = require('../lib/cluster');
const { waitFor } = require('../lib/wait');

const kOld = '0.0.9';    // made up: lacks a function, and has another one with fewer columns
const kNext = '99.0.0';  // made up: needs a function that this library does not have
const kExtensionDir = path.join(execFileSync('pg_config', ['--sharedir']).toString().trim(), 'extension');

const folder = (cluster) => path.join(cluster.directory, kExtensionDir);
const current = (cluster) => fs.readFileSync(path.join(folder(cluster), 'realtime.control'), 'utf8').match(/default_version = '(.*)'/)[1];

// The scripts of the made-up versions, from those of today's.
function writeScripts(cluster) {
  const version = current(cluster);
  const script = fs.readFileSync(path.join(folder(cluster), `realtime--${version}.sql`), 'utf8');
  const part = (pattern) => {
    const found = script.match(pattern);
    assert.ok(found, `the script has ${pattern}`);
    return found[0];
  };
  const write = (name, text) => fs.writeFileSync(path.join(folder(cluster), `realtime--${name}.sql`), text);
  const send = [/CREATE FUNCTION realtime\.send_binary\([\s\S]*?\n\$\$;/, /COMMENT ON FUNCTION realtime\.send_binary\([\s\S]*?';/].map(part).join('\n');
  const statistics = [/CREATE FUNCTION realtime\.worker_statistics\([\s\S]*?'realtime_stat_worker';/,
    /COMMENT ON FUNCTION realtime\.worker_statistics\(\)[^;]*;/, /CREATE VIEW realtime\.stat_worker AS[^;]*;/,
    /COMMENT ON VIEW realtime\.stat_worker [^;]*;/].map(part).join('\n');
  const grants = script.match(/^(REVOKE|GRANT)[^;]*\b(worker_statistics\(\)|stat_worker)[^;]*;/gm).join('\n');
  write(kOld, `${script}
    DROP VIEW realtime.stat_worker;
    DROP FUNCTION realtime.worker_statistics(), realtime.send_binary(bytea, text, text, boolean);
    CREATE FUNCTION realtime.worker_statistics(OUT state text, OUT pid integer) RETURNS record LANGUAGE c
      AS 'MODULE_PATHNAME', 'realtime_stat_worker';`);
  write(`${kOld}--${version}`, `DROP FUNCTION realtime.worker_statistics();\n${send}\n${statistics}\n${grants}`);
  write(`${version}--${kNext}`, `CREATE TABLE realtime.later (id int);
    CREATE FUNCTION realtime.later() RETURNS int LANGUAGE c AS 'MODULE_PATHNAME', 'realtime_of_the_future';`);
  return version;
}

// Everything that belongs to the extension, with definition, rights and comment.
const kMembers = `
  select (pg_identify_object(d.classid, d.objid, 0)).type || ' ' || (pg_identify_object(d.classid, d.objid, 0)).identity as object,
         md5(pg_get_functiondef(p.oid)) as body,
         case c.relkind when 'v' then pg_get_viewdef(c.oid) end as view, c.relrowsecurity as rls,
         (select array_agg(format('%s %s %s %s', a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
                                  pg_get_expr(ad.adbin, ad.adrelid)) order by a.attnum)
            from pg_attribute a left join pg_attrdef ad on ad.adrelid = a.attrelid and ad.adnum = a.attnum
           where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped) as columns,
         (select array_agg(pg_get_constraintdef(k.oid) order by 1) from pg_constraint k where k.conrelid = c.oid) as constraints,
         (select array_agg(i.indexdef order by 1) from pg_indexes i where i.schemaname = 'realtime' and i.tablename = c.relname) as indexes,
         coalesce(p.proacl, c.relacl)::text as rights, obj_description(d.objid, d.classid::regclass::name) as comment
    from pg_depend d
    left join pg_proc p on d.classid = 'pg_proc'::regclass and p.oid = d.objid
    left join pg_class c on d.classid = 'pg_class'::regclass and c.oid = d.objid
   where d.refclassid = 'pg_extension'::regclass and d.deptype = 'e'
     and d.refobjid = (select oid from pg_extension where extname = 'realtime')
   order by 1`;

test('every older version becomes what a new installation is', async (t) => {
  const cluster = await Cluster.start(t);
  const version = writeScripts(cluster);
  const fresh = await cluster.sql(kMembers);
  assert.ok(fresh.length > 20);
  const others = (await cluster.sql(`select version from pg_available_extension_versions
    where name = 'realtime' and version not in ('${version}', '${kNext}') order by 1`)).map((row) => row.version);
  assert.ok(others.includes(kOld));
  for (const [index, other] of others.entries()) {
    const database = `from_${index}`;
    await cluster.sql(`create database ${database}`);
    await cluster.sql(`create extension realtime version '${other}'`, { database });
    assert.notDeepEqual(await cluster.sql(kMembers, { database }), fresh, `${other} is another version`);
    await cluster.sql('alter extension realtime update', { database });
    assert.deepEqual(await cluster.sql("select extversion from pg_extension where extname = 'realtime'", { database }), [{ extversion: version }]);
    assert.deepEqual(await cluster.sql(kMembers, { database }), fresh, `from ${other}`);
  }
});

test('the SQL is older than the library: one line in the log, it serves, and the update disconnects nobody', async (t) => {
  const cluster = await Cluster.start(t, '', { extension: false });
  const version = writeScripts(cluster);
  await cluster.sql(`create extension realtime version '${kOld}'; select realtime.install_supabase_roles()`);
  const line = `extension realtime has version ${kOld}, its library version ${version}`;
  assert.match(await cluster.log.hint(line), /ALTER EXTENSION realtime UPDATE/);
  const client = await cluster.delivers(t);
  await assert.rejects(cluster.sql('select * from realtime.worker_statistics()'), /the extension's version is not the library's/);

  await cluster.sql('alter extension realtime update');
  await cluster.log.line("extension realtime has the library's version");
  assert.equal((await cluster.sql('select state from realtime.stat_worker')).length, 1);
  await cluster.sql('insert into proof default values');
  assert.equal((await client.change()).payload.data.record.id, 2);
  assert.equal(client.closed, null);
  const notices = [];
  await cluster.sql('alter extension realtime update', { notices });
  assert.match(notices[0].message, /already installed/);
  assert.equal(cluster.log.count(line), 1);
  assert.equal(cluster.log.count('server process'), 0, 'no process has crashed');
});

test('the SQL is newer than the library: the update fails whole, and everything goes on', async (t) => {
  const cluster = await Cluster.start(t);
  const version = writeScripts(cluster);
  const client = await cluster.delivers(t);
  const before = await cluster.sql(kMembers);
  await assert.rejects(cluster.sql(`alter extension realtime update to '${kNext}'`), /could not find function "realtime_of_the_future"/);
  assert.deepEqual(await cluster.sql(kMembers), before);
  assert.deepEqual(await cluster.sql("select extversion from pg_extension where extname = 'realtime'"), [{ extversion: version }]);
  await cluster.sql('insert into proof default values');
  assert.equal((await client.change()).payload.data.record.id, 2);
  assert.equal(client.closed, null);
});

// With -b, as pg_upgrade starts both servers: it drops and creates databases, and no slot may be in its way.
test('a server that pg_upgrade runs has no worker', async (t) => {
  const cluster = await Cluster.start(t, "realtime.database = 'served'", { extension: false });
  const workers = () => cluster.sql("select pid from pg_stat_activity where backend_type = 'realtime worker'", { database: 'template1' });
  await cluster.sql('create database served');
  await waitFor(async () => (await workers()).length === 1, 'the worker');
  cluster.restart('-b');
  await new Promise((resolve) => setTimeout(resolve, 2000));
  assert.deepEqual(await workers(), []);
  await cluster.sql('drop database served');
});
