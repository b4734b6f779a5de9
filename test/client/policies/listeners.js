'use strict';
// What the worker sends each identity, all on one socket: a channel per identity for the whole schema, and for a while some with
// a filter on one table.
const { RawClient } = require('../lib/raw');
const { waitFor } = require('../lib/wait');

const kMarker = 'marker';
const kNothing = { events: new Map(), errors: [], twice: [] };

class Listeners {
  static async open(t, world) {
    const listeners = new Listeners();
    listeners.world = world;
    listeners.client = await RawClient.open(t);
    listeners.channels = [];
    listeners.joined = 0;
    for (const identity of world.identities) {
      const joined = await listeners.join({ identity }, [{ event: '*', schema: world.schema, table: '*' }]);
      if (!joined) throw new Error(`the channel of ${JSON.stringify(identity.claims)} was refused`);
    }
    listeners.begin();
    return listeners;
  }
  // False when the join was refused.
  async join(channel, bindings) {
    const { client } = this;
    const topic = `realtime:channel-${(this.joined += 1)}`;
    const reply = await client.join(topic, { bindings, token: channel.identity.token });
    if (reply.payload.status !== 'ok') return false;
    const system = await client.next((frame) => frame.event === 'system' && frame.topic === topic, `the subscription of ${topic}`);
    if (system.payload.status !== 'ok') {
      await client.request(topic, 'phx_leave', {}, { join_ref: reply.join_ref });
      return false;
    }
    this.channels.push({ ...channel, topic, joinRef: reply.join_ref });
    return true;
  }
  async joinFiltered(identity, table, filter) {
    const { schema } = this.world;
    return this.join({ identity, table, filter }, [
      { event: '*', schema, table: table.name, filter: filter.text }, { event: '*', schema, table: kMarker },
    ]);
  }
  async leaveFiltered() {
    for (const channel of this.channels.filter((each) => each.filter)) {
      await this.client.request(channel.topic, 'phx_leave', {}, { join_ref: channel.joinRef });
    }
    this.channels = this.channels.filter((each) => !each.filter);
  }

  begin() {
    this.client.frames.length = 0;
    this.client.taken = 0;
    this.read = 0;
    this.marked = new Set();
    // topic -> table -> { events: id -> data, errors, twice }
    this.heard = new Map(this.channels.map((channel) => [channel.topic, new Map()]));
  }
  take(frame) {
    if (frame.event === 'system' && frame.payload.status === 'error') throw new Error(`a channel failed: ${frame.text}`);
    if (frame.event !== 'postgres_changes') return;
    const { data } = frame.payload;
    if (data.table === kMarker) {
      this.marked.add(`${frame.topic} ${data.record?.id}`);
      return;
    }
    const tables = this.heard.get(frame.topic);
    if (!tables.has(data.table)) tables.set(data.table, { events: new Map(), errors: [], twice: [] });
    const heard = tables.get(data.table);
    const id = data.record?.id ?? data.old_record?.id;
    if (data.errors) heard.errors.push(data.errors[0]);
    else if (heard.events.has(id)) heard.twice.push(id);
    else heard.events.set(id, data);
  }
  // Commit order: whoever has the marker has all that was not parked.
  async until(marker) {
    await waitFor(() => {
      for (; this.read < this.client.frames.length; this.read += 1) this.take(this.client.frames[this.read]);
      return this.channels.every((channel) => this.marked.has(`${channel.topic} ${marker}`));
    }, `marker ${marker} on every channel`, 60000);
  }
  of(channel, table) {
    return this.heard.get(channel.topic).get(table.name) || kNothing;
  }
}

module.exports = { Listeners };
