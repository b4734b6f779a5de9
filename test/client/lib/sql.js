'use strict';
const path = require('node:path');
const { Client } = require('pg');
const { cleanup } = require('./cleanup');
const { waitFor } = require('./wait');

// ALTER PUBLICATION from two test files at once fails in PostgreSQL ("tuple concurrently updated").
const kPublicationLock = 7203001;

let shared = null;

// Opens a connection of the test's own, closed with the test. Without `t` the caller ends it.
async function connect(t, options = {}) {
  const client = new Client(options);
  client.on('error', () => {});  // a restart of the server ends connections: seen by the next query
  await client.connect();
  if (t) cleanup(t, () => client.end().catch(() => {}));
  return client;
}

// Runs SQL as superuser on the file's shared connection, opening it anew after a restart of the server.
async function sql(text, values) {
  for (;;) {
    if (!shared) {
      const client = await connect();
      client.on('end', () => { if (shared === client) shared = null; });
      client.connection.stream.unref();
      shared = client;
    }
    const client = shared;
    client.connection.stream.ref();
    try {
      return await client.query(text, values);
    } finally {
      client.connection.stream.unref();
    }
  }
}

const rows = async (text, values) => (await sql(text, values)).rows;
const one = async (text, values) => Object.values((await rows(text, values))[0])[0];

// Statements of one transaction on a connection of its own.
async function transaction(statements) {
  const client = await connect();
  try {
    await client.query('begin');
    for (const statement of statements) await client.query(statement);
    await client.query('commit');
  } finally {
    await client.end();
  }
}

const publish = (...names) => transaction([
  `select pg_advisory_xact_lock(${kPublicationLock})`,
  ...names.map((name) => `select realtime.publish('${name.replaceAll("'", "''")}'::regclass)`),
]);

const alterPublication = (clause) => transaction([
  `select pg_advisory_xact_lock(${kPublicationLock})`,
  `alter publication supabase_realtime ${clause}`,
]);

let counter = 0;
// A name nobody else uses: test file, process, counter.
function uniqueName(prefix = '') {
  const file = path.basename(process.argv[1] || 'test').replace(/\.test\.js$/, '').replace(/\W/g, '_');
  counter += 1;
  return `${prefix}${file}_${process.pid}_${counter}`.toLowerCase();
}

// Creates a published table in schema public, dropped with the test. Options: `grant` ('select' to these roles; default the
// three of Supabase), `full` (REPLICA IDENTITY FULL), `publish`, `schema`, `name`, `rls` (array of policy bodies).
async function withTable(t, columns, options = {}) {
  const schema = options.schema || 'public';
  const name = options.name || uniqueName('t_');
  const quoted = `"${schema}"."${name.replace(/"/g, '""')}"`;
  cleanup(t, () => sql(`drop table if exists ${quoted} cascade`));
  await sql(`create table ${quoted} (${columns})`);
  const grant = options.grant === undefined ? 'anon, authenticated, service_role' : options.grant;
  if (grant) await sql(`grant select on ${quoted} to ${grant}`);
  if (options.full) await sql(`alter table ${quoted} replica identity full`);
  if (options.rls) await enableRls(quoted, options.rls);
  if (options.publish !== false) await publish(quoted);
  return { schema, name, quoted };
}

// `policies`: the part after CREATE POLICY name ON table, e.g. "for select to authenticated using (true)".
async function enableRls(quoted, policies) {
  await sql(`alter table ${quoted} enable row level security`);
  for (const [index, policy] of policies.entries()) await sql(`create policy p${index} on ${quoted} ${policy}`);
}

// Creates a schema that anon, authenticated and service_role may use, dropped with the test.
async function withSchema(t) {
  const name = uniqueName('s_');
  cleanup(t, () => sql(`drop schema if exists ${name} cascade`));
  await sql(`create schema ${name}; grant usage on schema ${name} to anon, authenticated, service_role`);
  return name;
}

// Creates a role, dropped with the test together with everything it owns or was granted.
async function withRole(t, attributes = 'nologin') {
  const name = uniqueName('r_');
  cleanup(t, () => sql(`drop owned by ${name} cascade; drop role ${name}`));
  await sql(`create role ${name} ${attributes}; grant usage on schema public to ${name}`);
  return name;
}

// A role without any rights that may create in a schema of its own, and a connection as that role.
async function withOwner(t) {
  const owner = await withRole(t);
  const schema = await withSchema(t);
  await sql(`grant create, usage on schema ${schema} to ${owner}; grant usage on schema auth to ${owner}`);
  const attacker = await connect(t);
  await attacker.query(`set session authorization ${owner}`);
  return { owner, schema, attacker };
}

// The walsender that feeds the worker.
const walsender = async () => (await rows("select pid from pg_stat_replication where application_name = 'realtime'"))[0]?.pid;
const waitForWalsender = () => waitFor(walsender, 'the walsender of application_name realtime');

module.exports = {
  connect, sql, rows, one, transaction, publish, alterPublication, uniqueName, withTable, enableRls, withSchema, withRole, withOwner,
  walsender, waitForWalsender,
};
