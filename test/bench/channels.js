'use strict';
// Many channels of one user each, on as many sockets as asked for, that count the changes which reach them.
const WebSocket = require('ws');
const { makeToken } = require('../client/lib/token');
const env = require('../client/lib/env');

const kWaitMs = 300000;
const kJoinsAtOnce = 200;
const kPerSocket = 5000;  // the server keeps 8 MB of joins for each

const uuid = (n) => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`;
// The same in SQL.
const userOf = (n) => `('00000000-0000-4000-8000-' || lpad((${n})::text, 12, '0'))::uuid`;

class Channels {
  // Users 0 to users - 1; `filter` gives the filter of a user's binding, if there is one.
  constructor(table, users, filter, { perSocket = kPerSocket } = {}) {
    Object.assign(this, { table, users, filter, perSocket, sockets: [], asked: 0, live: 0, seen: 0, waiting: null });
  }
  // Resolves when all are subscribed.
  async open() {
    while (this.sockets.length * this.perSocket < this.users) this.sockets.push(await this.connect());
    return new Promise((resolve, reject) => {
      for (const socket of this.sockets) {
        socket.on('error', reject);
        socket.on('close', () => reject(new Error('the server closed a socket')));
        socket.on('message', (bytes) => this.onMessage(bytes, resolve, reject));
      }
      for (let i = 0; i < Math.min(kJoinsAtOnce, this.users); i += 1) this.join();
    });
  }
  connect() {
    const url = `${env.websocketUrl}/realtime/v1/websocket?vsn=2.0.0&apikey=${env.anonKey}`;
    const socket = new WebSocket(url, { perMessageDeflate: false });
    return new Promise((resolve, reject) => {
      socket.once('error', reject);
      socket.once('open', () => { socket.off('error', reject); resolve(socket); });
    });
  }
  join() {
    const n = this.asked;
    this.asked += 1;
    const binding = { event: '*', schema: 'public', table: this.table, ...(this.filter ? { filter: this.filter(n) } : {}) };
    this.sockets[Math.floor(n / this.perSocket)].send(JSON.stringify([String(n), String(n), `realtime:${n}`, 'phx_join',
      { access_token: makeToken({ sub: uuid(n) }), config: { postgres_changes: [binding] } }]));
  }
  onMessage(bytes, resolve, reject) {
    if (bytes.includes('"postgres_changes",{"')) {
      this.seen += 1;
      if (this.waiting && this.seen >= this.waiting.wanted) this.waiting.done();
      return;
    }
    const [, , , event, payload] = JSON.parse(bytes.toString());
    if (event === 'phx_reply' && payload.status !== 'ok') reject(new Error(bytes.toString()));
    if (event !== 'system') return;
    if (payload.status !== 'ok') reject(new Error(bytes.toString()));
    this.live += 1;
    if (this.live === this.users) resolve();
    else if (this.asked < this.users) this.join();
  }
  // Resolves when so many changes have arrived from now on.
  wait(wanted) {
    this.seen = 0;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`only ${this.seen} of ${wanted} changes arrived`)), kWaitMs);
      this.waiting = { wanted, done: () => { clearTimeout(timer); this.waiting = null; resolve(); } };
    });
  }
  // Keeps the server's patience with sockets that only listen.
  beat() {
    for (const socket of this.sockets) socket.send('[null,"0","phoenix","heartbeat",{}]');
  }
  close() {
    for (const socket of this.sockets) socket.terminate();
  }
}

module.exports = { Channels, uuid, userOf };
