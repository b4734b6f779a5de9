'use strict';
// The unmodified clients: the newest supabase-js that says it runs on this Node (protocol 2.0.0), the last release that
// speaks 1.0.0, and the newest of all, for what only it knows.
const WebSocket = require('ws');
const env = require('./env');
const { cleanup } = require('./cleanup');
const { waitFor } = require('./wait');

const kLibraries = {
  '2.0.0': () => require('@supabase/supabase-js'),
  '1.0.0': () => require('supabase-js-v1'),
};
const kVersions = Object.keys(kLibraries);
const kNewest = () => require('supabase-js-next');

// A client of the given protocol version, with the user's token when there is one; disconnected with the test.
async function makeClient(t, { vsn = '2.0.0', library = kLibraries[vsn], url = env.url, key = env.anonKey, token, realtime = {} } = {}) {
  const client = library().createClient(url, key, {
    realtime: { transport: WebSocket, ...realtime },
    auth: { persistSession: false, autoRefreshToken: false, detectSessionInUrl: false },
  });
  if (token) await client.realtime.setAuth(token);
  cleanup(t, async () => {
    await client.removeAllChannels();
    client.realtime.disconnect();
  });
  return client;
}

let topics = 0;
const newTopic = (prefix = 'room') => `${prefix}-${process.pid}-${++topics}`;

const table = (source, extra = {}) => ({ event: '*', schema: source.schema, table: source.name, ...extra });

// What one channel saw. `events`: every postgres_changes callback with the index of its binding, in order.
class Recording {
  constructor(client, bindings, { topic = newTopic(), config } = {}) {
    this.events = [];
    this.systems = [];
    this.statuses = [];
    this.errors = [];
    this.channel = client.channel(topic, config ? { config } : undefined);
    this.channel.on('system', {}, (message) => this.systems.push(message));
    bindings.forEach((binding, index) => {
      this.channel.on('postgres_changes', binding, (event) => this.events.push({ ...event, binding: index }));
    });
    this.channel.subscribe((status, error) => {
      this.statuses.push(status);
      if (error) this.errors.push(error);
    });
  }

  status(wanted) {
    return waitFor(() => this.statuses.includes(wanted), () => `status ${wanted}; saw ${this.describe()}`);
  }
  system(status, count = 1) {
    const matching = () => this.systems.filter((s) => s.extension === 'postgres_changes' && s.status === status);
    return waitFor(() => matching().length >= count && matching()[count - 1], () => `system ${status}; saw ${this.describe()}`);
  }
  event(predicate, what = 'an event') {
    return waitFor(() => this.events.find(predicate), () => `${what}; saw ${this.describe()}`);
  }
  count(number, limit) {
    return waitFor(() => this.events.length >= number, () => `${number} events; saw ${this.events.length}`, limit);
  }
  // Values of one column of the new rows, in order of arrival.
  values(column = 'id') {
    return this.events.map((event) => event.new[column]);
  }
  describe() {
    const last = JSON.stringify(this.events.slice(-5));
    return `statuses ${this.statuses}, errors ${this.errors.map(String)}, systems ${JSON.stringify(this.systems)}, ` +
      `${this.events.length} events, the last of them ${last}`;
  }
}

// Starts a subscription without waiting for its outcome.
const watch = (client, bindings, options) => new Recording(client, [].concat(bindings), options);

// Subscribes and returns once every later commit is promised to arrive.
async function subscribe(client, bindings, options) {
  const recording = watch(client, bindings, options);
  await recording.status('SUBSCRIBED');
  await recording.system('ok');
  return recording;
}

module.exports = { makeClient, subscribe, watch, table, newTopic, kVersions, kNewest };
