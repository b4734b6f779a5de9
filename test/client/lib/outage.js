'use strict';
// A subscriber and a writer on a server of the test's own, for what must not be lost while something fails there.
const { makeClient, subscribe, watch } = require('./clients');
const { waitFor } = require('./wait');

const kTable = 'outage';
const kBinding = { event: '*', schema: 'public', table: kTable };
const kComeBack = 60000;

class Outage {
  // With a table that anon may read, in the database that the cluster serves.
  static async prepare(t, cluster, { database = 'postgres' } = {}) {
    const outage = new Outage(t, cluster, database);
    await outage.makeTable();
    await cluster.serving();
    return outage;
  }

  constructor(t, cluster, database) {
    Object.assign(this, { t, cluster, database, id: 0 });
  }
  sql(text) {
    return this.cluster.sql(text, { database: this.database });
  }
  makeTable() {
    return this.sql(`create table ${kTable} (id int primary key, body text); grant select on ${kTable} to anon;
                     select realtime.publish('${kTable}')`);
  }
  async client(options = {}) {
    return makeClient(this.t, { url: this.cluster.env.REALTIME_URL, key: this.cluster.env.ANON_KEY, ...options });
  }
  async subscriber(options) {
    return subscribe(await this.client(options), kBinding);
  }
  async watcher(options) {
    return watch(await this.client(options), [kBinding]);
  }

  // Writes the next row; returns its id.
  async write() {
    this.id += 1;
    await this.sql(`insert into ${kTable} values (${this.id})`);
    return this.id;
  }
  // The row arrives: nothing else is waited for.
  async delivers(recording, limit = kComeBack) {
    const id = await this.write();
    await waitFor(() => recording.events.some((event) => event.new.id === id), () => `row ${id}; saw ${recording.describe()}`, limit);
  }
  // The channel was joined anew, `count` times in all with the first; and rows arrive.
  async comesBack(recording, count = 2) {
    const subscribed = () => recording.systems.filter((system) => system.message === 'Subscribed to PostgreSQL').length;
    await waitFor(() => subscribed() >= count, () => `subscription ${count}; saw ${recording.describe()}`, kComeBack);
    await this.delivers(recording);
  }
  // Of the server, which must not have been restarted.
  async startTime() {
    return (await this.cluster.sql('select pg_postmaster_start_time()::text as at'))[0].at;
  }
  async workerPid({ database = 'postgres' } = {}) {
    return (await this.cluster.sql("select pid from pg_stat_activity where backend_type = 'realtime worker'", { database }))[0]?.pid;
  }
}

const missedNotice = (recording) => recording.systems.find((system) => /^Changes may have been missed/.test(system.message));

module.exports = { Outage, missedNotice, kTable, kBinding };
