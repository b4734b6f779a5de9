'use strict';
// A throw-away server of the test's own, for what cannot be tried on the shared one: settings that need a restart, a server
// that is not reachable in the usual way, a worker that cannot serve.
const { execFileSync } = require('node:child_process');
const path = require('node:path');
const { Client } = require('pg');
const { cleanup } = require('./cleanup');
const { Log } = require('./log');
const { RawClient, handshake } = require('./raw');
const { waitFor } = require('./wait');

const kScript = path.join(__dirname, '../../cluster.sh');

let counter = 0;

function script(action, directory, environment = {}) {
  return execFileSync('bash', [kScript, action, directory],
    { env: { ...process.env, ...environment }, stdio: ['ignore', 'pipe', 'inherit'] }).toString();
}

class Cluster {
  // `conf`: lines that end up last in postgresql.conf. With `extension: false` the database is left empty. `serverEnv`:
  // assignments for the environment of the server program.
  static async start(t, conf = '', { extension = true, serverEnv = '' } = {}) {
    const directory = path.join(process.env.TMPDIR || '/tmp', `realtime-test.${process.pid}.${++counter}`);
    cleanup(t, () => script('stop', directory));
    const cluster = new Cluster(directory, script('start', directory, { CLUSTER_CONF: conf, CLUSTER_TCP: 'yes', ...(serverEnv && { CLUSTER_SERVER_ENV: serverEnv }) }));
    if (extension) await cluster.sql('create extension realtime; select realtime.install_supabase_roles()');
    return cluster;
  }

  constructor(directory, assignments) {
    this.directory = directory;
    this.env = Object.fromEntries([...assignments.matchAll(/(\w+)='([^']*)'/g)].map(([, name, value]) => [name, value]));
    this.log = new Log([]);
    this.log.paths = [this.env.REALTIME_LOG];
    this.log.begin.set(this.env.REALTIME_LOG, 0);
    this.moveTo(Number(new URL(this.env.REALTIME_URL).port));
  }

  moveTo(port) {
    this.port = port;
    this.websocketUrl = `ws://127.0.0.1:${port}`;
  }

  // One connection for each call: the server may have been restarted in between. `notices` collects what the server says.
  async sql(text, { database = 'postgres', notices = [] } = {}) {
    const client = new Client({ host: this.env.PGHOST, port: Number(this.env.PGPORT), user: this.env.PGUSER, database });
    client.on('error', () => {});
    client.on('notice', (notice) => notices.push(notice));
    await client.connect();
    try {
      return (await client.query(text)).rows;
    } finally {
      await client.end();
    }
  }
  // Changes a setting that a reload is enough for.
  async set(name, value) {
    await this.sql(`alter system set ${name} = ${value}`);
    await this.sql('select pg_reload_conf()');
  }
  // `options` of the server program stay for later restarts.
  restart(options = '') {
    script('restart', this.directory, options && { CLUSTER_OPTIONS: options });
  }

  async status() {
    const options = { host: '127.0.0.1', port: this.port };
    try {
      return (await handshake(`/realtime/v1/websocket?apikey=${this.env.ANON_KEY}&vsn=2.0.0`, options)).status;
    } catch {
      return 0;
    }
  }
  serving(limit) {
    return waitFor(async () => (await this.status()) === 101, () => `the worker to serve; its log: ${this.log.lines().slice(-8).join(' | ')}`, limit);
  }
  client(t, options = {}) {
    return RawClient.open(t, { url: this.websocketUrl, key: this.env.ANON_KEY, ...options });
  }

  // The whole way: a published table, a subscriber, a row. Proves that the cluster works.
  async delivers(t, limit = 30000) {
    await this.serving(limit);
    await this.sql(`create table if not exists proof (id int generated always as identity); grant select on proof to anon;
                    select realtime.publish('proof')`);
    const client = await this.client(t);
    await client.listen('realtime:proof', [{ event: '*', schema: 'public', table: 'proof' }]);
    await this.sql('insert into proof default values');
    await client.change();
    return client;
  }
}

module.exports = { Cluster };
