'use strict';
// What the runner tells the tests about the server. Every value is required unless noted; see README.md.

function required(name) {
  const value = process.env[name];
  if (!value) throw new Error(`environment variable ${name} is not set (see test/client/README.md)`);
  return value;
}

const url = required('REALTIME_URL').replace(/\/$/, '');

module.exports = {
  url,
  websocketUrl: url.replace(/^http/, 'ws'),
  host: new URL(url).hostname,
  port: Number(new URL(url).port),
  jwtSecret: required('JWT_SECRET'),
  anonKey: required('ANON_KEY'),
  serviceKey: required('SERVICE_KEY'),
  // Only the files in disruptive/ need these.
  pgData: process.env.PGDATA,
  pgBin: process.env.PG_BIN,
  asPostgres: (process.env.AS_POSTGRES || '').split(' ').filter(Boolean),
  required,
};
