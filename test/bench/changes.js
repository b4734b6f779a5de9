'use strict';
// Delay of single changes, fan-out of one table to many clients, and rows of many users under row-level security.
// Numbers to vary: CLIENTS (default 200), ROWS (default 5000).
const crypto = require('node:crypto');
const { Client } = require('pg');
const WebSocket = require('ws');

const kClients = Number(process.env.CLIENTS || 200);
const kRows = Number(process.env.ROWS || 5000);
const kSingles = 500;
const kWaitMs = 60000;

function token(claims) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const body = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ exp: Math.floor(Date.now() / 1000) + 3600, ...claims })}`;
  return `${body}.${crypto.createHmac('sha256', process.env.JWT_SECRET).update(body).digest('base64url')}`;
}

const userId = (i) => `00000000-0000-4000-8000-${String(i).padStart(12, '0')}`;
const nowMs = () => performance.timeOrigin + performance.now();

// Resolves to the socket when the channel is live; onChange is called with the text of every change.
function subscribe(table, key, onChange) {
  return new Promise((resolve, reject) => {
    const url = `${process.env.REALTIME_URL.replace(/^http/, 'ws')}/realtime/v1/websocket?vsn=2.0.0&apikey=${key}`;
    const socket = new WebSocket(url, { perMessageDeflate: false });
    socket.on('error', reject);
    socket.on('open', () => socket.send(JSON.stringify(['1', '1', `realtime:${table}`, 'phx_join',
      { config: { postgres_changes: [{ event: '*', schema: 'public', table }] } }])));
    socket.on('message', (bytes) => {
      const text = bytes.toString();
      if (text.includes('"postgres_changes",{"')) return onChange(text);
      const [, , , event, payload] = JSON.parse(text);
      if (event === 'phx_reply' && payload.status !== 'ok') reject(new Error(text));
      if (event === 'phx_reply') resolve(socket);
      return undefined;
    });
  });
}

// Counts to `wanted`, then resolves; rejects when that takes too long.
function counter(wanted) {
  let seen = 0;
  let finish;
  const done = new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`only ${seen} of ${wanted} changes arrived`)), kWaitMs);
    finish = () => { clearTimeout(timer); resolve(); };
  });
  return { count() { seen += 1; if (seen === wanted) finish(); }, done };
}

async function delay(db) {
  const delays = [];
  let received;
  const socket = await subscribe('messages', process.env.ANON_KEY, () => received());
  for (let i = 0; i < kSingles; i += 1) {
    const arrived = new Promise((resolve) => { received = resolve; });
    const began = nowMs();
    await Promise.all([db.query("INSERT INTO messages (body) VALUES ('x')"), arrived]);
    delays.push(nowMs() - began);
  }
  socket.close();
  delays.sort((a, b) => a - b);
  const at = (share) => delays[Math.floor(share * (delays.length - 1))].toFixed(2);
  console.log(`delay, INSERT sent to change received: p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, of ${kSingles}`);
}

async function report(name, wanted, done, db, statement, values) {
  const began = nowMs();
  await Promise.all([db.query(statement, values), done]);
  const seconds = (nowMs() - began) / 1000;
  console.log(`${name}: ${wanted} deliveries in ${seconds.toFixed(2)} s, ${Math.round(wanted / seconds)} per second`);
}

async function fanOut(db) {
  const rows = Math.max(1, Math.floor(kRows / 10));
  const all = counter(rows * kClients);
  const sockets = await Promise.all(Array.from({ length: kClients }, () =>
    subscribe('messages', process.env.ANON_KEY, all.count)));
  await report(`fan-out, ${rows} rows to ${kClients} clients`, rows * kClients, all.done, db,
    "INSERT INTO messages (body) SELECT repeat('x', 100) FROM generate_series(1, $1)", [rows]);
  sockets.forEach((socket) => socket.close());
}

async function policies(db) {
  const all = counter(kRows);
  const sockets = await Promise.all(Array.from({ length: kClients }, (_, i) =>
    subscribe('notes', token({ role: 'authenticated', sub: userId(i) }), all.count)));
  await report(`policies, ${kRows} rows of ${kClients} users, each sees their own`, kRows, all.done, db,
    `INSERT INTO notes (user_id, body)
     SELECT ('00000000-0000-4000-8000-' || lpad((i % $2)::text, 12, '0'))::uuid, repeat('x', 100)
       FROM generate_series(1, $1::int) AS i`, [kRows, kClients]);
  sockets.forEach((socket) => socket.close());
}

async function main() {
  const db = new Client();
  await db.connect();
  await delay(db);
  await fanOut(db);
  await policies(db);
  await db.end();
}

main().catch((error) => { console.error(error); process.exit(1); });
