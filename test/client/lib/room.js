'use strict';
// A channel of a real client for broadcast and presence, with all that it saw.
const { waitFor } = require('./wait');

class Room {
  // Subscribes. `presence: true` listens to presence, which makes the client ask for it.
  constructor(client, topic, { config, presence = false } = {}) {
    this.broadcasts = [];
    this.presences = [];
    this.systems = [];
    this.statuses = [];
    this.errors = [];
    this.channel = client.channel(topic, config ? { config } : undefined);
    this.channel.on('broadcast', { event: '*' }, (message) => this.broadcasts.push(message));
    this.channel.on('system', {}, (message) => this.systems.push(message));
    for (const event of presence ? ['sync', 'join', 'leave'] : []) {
      this.channel.on('presence', { event }, (message) => this.presences.push({ ...message, event }));
    }
    this.channel.subscribe((status, error) => {
      this.statuses.push(status);
      if (error) this.errors.push(error);
    });
  }

  status(wanted, limit) {
    return waitFor(() => this.statuses.includes(wanted), () => `status ${wanted}; saw ${this.describe()}`, limit);
  }
  // With config.broadcast.replication_ready: what is sent from SQL from now on arrives.
  ready() {
    const find = () => this.systems.find((each) => each.message === 'Replication connection established');
    return waitFor(find, () => `the notice that the database's messages arrive; saw ${this.describe()}`);
  }
  send(event, payload, extra = {}) {
    return this.channel.send({ type: 'broadcast', event, payload, ...extra });
  }

  // The first broadcast with this event.
  broadcast(event) {
    return waitFor(() => this.broadcasts.find((message) => message.event === event), () => `broadcast ${event}; saw ${this.describe()}`);
  }
  count(number, limit) {
    return waitFor(() => this.broadcasts.length >= number, () => `${number} broadcasts; saw ${this.broadcasts.length}`, limit);
  }
  // Events and payloads, in order of arrival.
  heard() {
    return this.broadcasts.map(({ event, payload }) => [event, payload]);
  }

  // Payloads under each key, without what the protocol adds, as the application sees them now.
  present() {
    const state = this.channel.presenceState();
    return Object.fromEntries(Object.entries(state).map(([key, metas]) => [key, metas.map(({ presence_ref, ...rest }) => rest)]));
  }
  async becomes(wanted) {
    const same = () => canonical(this.present()) === canonical(wanted);
    await waitFor(same, () => `presence ${JSON.stringify(wanted)}; is ${JSON.stringify(this.present())}; saw ${this.describe()}`);
  }
  presence(event, key) {
    const find = () => this.presences.find((each) => each.event === event && each.key === key);
    return waitFor(find, () => `presence event ${event} of ${key}; saw ${this.describe()}`);
  }

  describe() {
    return `statuses ${this.statuses}, errors ${this.errors.map(String)}, broadcasts ${JSON.stringify(this.broadcasts.slice(-5))}, ` +
      `presence events ${JSON.stringify(this.presences.slice(-5))}`;
  }
}

function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical)}]`;
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  return `{${Object.keys(value).sort().map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`)}}`;
}

async function enter(client, topic, options) {
  const room = new Room(client, topic, options);
  await room.status('SUBSCRIBED');
  return room;
}

module.exports = { Room, enter };
