'use strict';
// A WebSocket that speaks the protocol frame by frame, for what the client libraries hide or never send.
const http = require('node:http');
const crypto = require('node:crypto');
const WebSocket = require('ws');
const env = require('./env');
const { cleanup } = require('./cleanup');
const { waitFor } = require('./wait');

const kPath = '/realtime/v1/websocket';

// Server frames of both versions in one shape; `text` is what came over the wire.
function normalize(text, vsn) {
  const frame = JSON.parse(text);
  if (vsn.startsWith('2.')) {
    const [join_ref, ref, topic, event, payload] = frame;
    return { join_ref, ref, topic, event, payload, text };
  }
  return { ...frame, text };
}

class RawClient {
  static async open(t, { url = env.websocketUrl, vsn = '2.0.0', path = kPath, key = env.anonKey, headers = {}, query = {} } = {}) {
    const parameters = new URLSearchParams({ ...(key ? { apikey: key } : {}), ...(vsn ? { vsn } : {}), ...query });
    const socket = new WebSocket(`${url}${path}?${parameters}`, { perMessageDeflate: false, headers });
    const client = new RawClient(socket, vsn || '1.0.0');
    cleanup(t, () => socket.terminate());
    await waitFor(() => client.opened || client.failure, 'the handshake');
    if (client.failure) throw client.failure;
    return client;
  }

  constructor(socket, vsn) {
    this.socket = socket;
    this.vsn = vsn;
    this.frames = [];
    this.taken = 0;
    this.refs = 0;
    this.closed = null;
    socket.on('open', () => { this.opened = true; });
    socket.on('error', (error) => { this.failure = error; });
    socket.on('close', (code, reason) => { this.closed = { code, reason: reason.toString() }; });
    socket.on('message', (data, binary) => this.frames.push(binary ? { binary: data } : normalize(data.toString(), this.vsn)));
  }

  text(text) {
    this.socket.send(text);
  }
  push(topic, event, payload = {}, { ref = String(++this.refs), join_ref = null } = {}) {
    const v2 = this.vsn.startsWith('2.');
    this.text(JSON.stringify(v2 ? [join_ref, ref, topic, event, payload] : { topic, event, payload, ref, join_ref }));
    return ref;
  }

  // The first frame not yet taken that matches; the frames before it count as taken.
  async next(predicate = () => true, what = 'a frame', limit) {
    return waitFor(() => {
      for (let i = this.taken; i < this.frames.length; i += 1) {
        if (predicate(this.frames[i])) {
          this.taken = i + 1;
          return this.frames[i];
        }
      }
      return null;
    }, () => `${what}; saw ${this.frames.slice(-6).map((f) => f.text || f.binary.toString()).join(' ')} closed ${JSON.stringify(this.closed)}`, limit);
  }
  // The next broadcast to this client: { binary } or a text frame.
  broadcast() {
    return this.next((frame) => frame.binary || frame.event === 'broadcast', 'a broadcast');
  }
  event(event, what) {
    return this.next((frame) => frame.event === event, what || `event ${event}`);
  }
  reply(ref) {
    return this.next((frame) => frame.event === 'phx_reply' && frame.ref === ref, `the reply to ${ref}`);
  }

  async request(topic, event, payload, options) {
    return this.reply(this.push(topic, event, payload, options));
  }
  // Joins with these bindings; returns the reply with `join_ref` set, also for version 1.0.0.
  async join(topic, { bindings = [], config = {}, token, payload } = {}) {
    const ref = String(++this.refs);
    const body = payload || { config: { postgres_changes: bindings, ...config }, ...(token ? { access_token: token } : {}) };
    return { ...(await this.request(topic, 'phx_join', body, { ref, join_ref: ref })), join_ref: ref };
  }
  // Joins and waits until the bindings are live; returns their ids.
  async listen(topic, bindings, options = {}) {
    const reply = await this.join(topic, { bindings, ...options });
    if (reply.payload.status !== 'ok') throw new Error(`join refused: ${reply.text}`);
    const system = await this.event('system');
    if (system.payload.status !== 'ok') throw new Error(`not subscribed: ${system.text}`);
    return reply.payload.response.postgres_changes.map((binding) => binding.id);
  }
  async heartbeat() {
    return this.request('phoenix', 'heartbeat', {});
  }
  change() {
    return this.event('postgres_changes', 'a change');
  }
  async close() {
    return waitFor(() => this.closed, 'the close of the socket');
  }
}

// A handshake that is expected to be refused: { status, headers, body }. Status 101 means that it was accepted.
function handshake(path, { host = env.host, port = env.port, headers = {}, method = 'GET', upgrade = true } = {}) {
  const webSocket = {
    connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-version': '13',
    'sec-websocket-key': crypto.randomBytes(16).toString('base64'),
  };
  return new Promise((resolve, reject) => {
    const request = http.request({
      host, port, path, method, agent: false, headers: { ...(upgrade ? webSocket : {}), ...headers },
    });
    request.on('upgrade', (response, socket) => {
      socket.destroy();
      resolve({ status: response.statusCode, headers: response.headers, body: '' });
    });
    request.on('response', (response) => {
      let body = '';
      response.on('data', (chunk) => { body += chunk; });
      response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, body }));
    });
    request.on('error', reject);
    request.setTimeout(15000, () => request.destroy(new Error('no answer to the handshake')));
    request.end();
  });
}

module.exports = { RawClient, handshake, kPath };
