'use strict';
// What a row costs with ever more subscribers who each see only their own rows, and with subscribers who see every row.
// One socket carries all channels (realtime.max_channels_per_client must be high enough). Numbers to vary: ROWS (default
// 20000), USERS (default 100,1000,10000).
const { Client } = require('pg');
const WebSocket = require('ws');
const { makeToken } = require('../client/lib/token');
const env = require('../client/lib/env');

const kRows = Number(process.env.ROWS || 20000);
const kUsers = (process.env.USERS || '100,1000,10000').split(',').map(Number);
const kRounds = 3;
const kWaitMs = 300000;
const kJoinsAtOnce = 200;

const nowMs = () => performance.timeOrigin + performance.now();
const uuid = (n) => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`;
const userOf = (n) => `('00000000-0000-4000-8000-' || lpad((${n})::text, 12, '0'))::uuid`;

const kCases = {
  'auth.uid() = user_id': { policy: 'auth.uid() = user_id' },
  '(select auth.uid()) = user_id': { policy: '(select auth.uid()) = user_id' },
  'filter n=eq.N': { filter: (n) => `n=eq.${n}` },
};

// Calls back with the number of changes that have arrived, and keeps `kJoinsAtOnce` joins on their way.
class Channels {
  constructor(table, users, filter) {
    Object.assign(this, { table, users, filter, asked: 0, live: 0, seen: 0, waiting: null });
  }
  open() {
    this.socket = new WebSocket(`${env.websocketUrl}/realtime/v1/websocket?vsn=2.0.0&apikey=${env.anonKey}`, { perMessageDeflate: false });
    return new Promise((resolve, reject) => {
      this.socket.on('error', reject);
      this.socket.on('open', () => { for (let i = 0; i < Math.min(kJoinsAtOnce, this.users); i += 1) this.join(); });
      this.socket.on('message', (bytes) => this.onMessage(bytes, resolve, reject));
    });
  }
  join() {
    const n = this.asked;
    this.asked += 1;
    const binding = { event: '*', schema: 'public', table: this.table, ...(this.filter ? { filter: this.filter(n) } : {}) };
    this.socket.send(JSON.stringify([String(n), String(n), `realtime:${n}`, 'phx_join',
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
  wait(wanted) {
    this.seen = 0;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`only ${this.seen} of ${wanted} changes arrived`)), kWaitMs);
      this.waiting = { wanted, done: () => { clearTimeout(timer); resolve(); } };
    });
  }
}

let tables = 0;
// Runs `rows` rows past `users` subscribers and returns the best round's milliseconds.
async function run(db, { users, rows, each, policy, filter }) {
  tables += 1;
  const table = `many_users_${process.pid}_${tables}`;
  await db.query(`create table ${table} (id bigint generated always as identity primary key, user_id uuid, n int, body text);
    grant select on ${table} to authenticated; select realtime.publish('${table}')`);
  if (policy) await db.query(`alter table ${table} enable row level security; create policy own on ${table} using (${policy})`);
  const channels = new Channels(table, users, filter);
  await channels.open();
  const insert = async (count, wanted) => {
    const arrived = channels.wait(wanted);
    const began = nowMs();
    await db.query(`insert into ${table} (user_id, n, body)
      select ${userOf(`i % ${users}`)}, i % ${users}, repeat('x', 100) from generate_series(1, ${count}) i`);
    await arrived;
    return nowMs() - began;
  };
  await insert(100, 100 * each);
  let best = Infinity;
  for (let round = 0; round < kRounds; round += 1) best = Math.min(best, await insert(rows, rows * each));
  channels.socket.terminate();
  await db.query(`drop table ${table}`);
  return best;
}

async function main() {
  const db = new Client();
  await db.connect();
  for (const [name, options] of Object.entries(kCases)) {
    let first = 0;
    for (const users of kUsers) {
      const ms = await run(db, { users, rows: kRows, each: 1, ...options });
      first = first || ms;
      console.log(`${name}, ${users} users: ${((ms * 1000) / kRows).toFixed(2)} us per row, ratio ${(ms / first).toFixed(2)}`);
    }
  }
  const rows = Math.max(1, Math.floor(kRows / 10));
  const ms = await run(db, { users: 100, rows, each: 100, policy: 'auth.uid() is not null' });
  console.log(`100 users who see every row: ${Math.round((rows * 100 * 1000) / ms)} deliveries per second`);
  await db.end();
}

main().catch((error) => { console.error(error); process.exit(1); });
