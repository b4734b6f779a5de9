'use strict';
// Databases other than `postgres` in a throw-away server, each in turn the one that is served.
const { waitFor } = require('./wait');

const kWorker = "select pid, datname from pg_stat_activity where backend_type = 'realtime worker'";

// Creates database `name`, runs `setup` in it, and returns once it is the one that is served. `create` goes into CREATE
// DATABASE, `settings` into ALTER DATABASE. Returns a function that runs SQL there.
async function serveDatabase(cluster, name, setup, { create = '', settings = {} } = {}) {
  const query = (text) => cluster.sql(text, { database: name });
  await cluster.sql(`create database ${name} template template0 ${create}`);
  await query(`create extension realtime; select realtime.install_supabase_roles(); ${setup}`);
  for (const [setting, value] of Object.entries(settings)) await cluster.sql(`alter database ${name} set ${setting} = ${value}`);
  await cluster.set('realtime.database', `'${name}'`);
  await waitFor(async () => (await cluster.sql(kWorker)).some((worker) => worker.datname === name), `the worker in ${name}`);
  await cluster.serving();
  return query;
}

module.exports = { serveDatabase };
