'use strict';
// node soak.js SECONDS: real clients under a load that changes from phase to phase and is the same in each cycle. At the end
// of each cycle, with the same clients that stay, the worker's memory and descriptors and the delay of rows are read. The
// first cycles, in which caches fill, do not count; fails when the last ones are worse than the first that do.
const fs = require('node:fs');
const WebSocket = require('ws');
const { createClient } = require('@supabase/supabase-js');
const env = require('./lib/env');
const { rows, sql } = require('./lib/sql');
const { waitFor } = require('./lib/wait');

const kSeconds = Number(process.argv[2]);
const kPhaseMs = Math.min(15000, (kSeconds * 1000) / 40);
const kStay = 20;
const kComeAndGo = 60;
const kSamples = 200;
const kUncounted = 0.3;  // of all cycles
// What may differ without growth: malloc keeps pieces, the machine has other work.
const kMemorySlackKib = 8 * 1024;
const kDescriptorSlack = 2;
const kFileSlack = 16;
const kGivenBackMs = 12000;  // with some room, after which what waited for clients is given back (core/burst.h)
const kLatencyFactor = 2;
const kLatencySlackMs = 5;

const begin = Date.now();
const failures = [];
const clients = new Set();
let id = 0;
let arrived = null;  // id -> when, at the client that measures

function open() {
  const client = createClient(env.url, env.anonKey, {
    realtime: { transport: WebSocket }, auth: { persistSession: false, autoRefreshToken: false, detectSessionInUrl: false },
  });
  clients.add(client);
  return client;
}

async function close(client) {
  clients.delete(client);
  await client.removeAllChannels();
  client.realtime.disconnect();
}

// Joins a channel for rows, messages and presence. `onRow` gets each new row.
function join(client, topic, onRow) {
  return new Promise((resolve, reject) => {
    const channel = client.channel(topic, { config: { broadcast: { self: true }, presence: { key: topic } } });
    channel.on('postgres_changes', { event: '*', schema: 'public', table: 'soak' }, (event) => onRow?.(event.new));
    channel.on('broadcast', { event: '*' }, () => {});
    channel.on('presence', { event: 'sync' }, () => {});
    channel.on('system', {}, (message) => {
      if (message.extension !== 'postgres_changes') return;
      if (message.status === 'ok') resolve(channel); else reject(new Error(message.message));
    });
    channel.subscribe((status, error) => { if (status === 'CHANNEL_ERROR') reject(error || new Error('channel error')); });
  });
}

const insert = (count, size) => {
  const first = id + 1;
  id += count;
  return sql(`insert into soak select i, repeat('x', ${size}) from generate_series(${first}, ${id}) i`);
};

// Each until its time is over.
const kPhases = {
  async 'single rows'() { await insert(1, 100); },
  async 'large transactions'() { await insert(2000, 200); },
  async 'large rows'() { await insert(5, 200000); },
  async 'clients come and go'() {
    const some = Array.from({ length: kComeAndGo }, open);
    const channels = await Promise.all(some.map((client, i) => join(client, `guest-${i}`)));
    await Promise.all(channels.slice(0, 20).map((channel) => channel.track({ here: true })));
    await insert(10, 100);
    // Half of them without a good-bye.
    for (const client of some.slice(0, kComeAndGo / 2)) client.realtime.conn?.terminate?.();
    await Promise.all(some.map(close));
  },
  async broadcasts(channels) {
    for (const channel of channels) await channel.send({ type: 'broadcast', event: 'x', payload: { text: 'y'.repeat(500) } });
    await sql("select realtime.send('{\"x\": 1}', 'x', 'stay-0', false) from generate_series(1, 50)");
  },
  async 'definitions change'() {
    // Not by new columns: a table has had all it may have after 1,600 of them, dropped ones too.
    await sql('alter table soak rename body to text; alter table soak rename text to body');
    await sql('create policy p on soak for select using (true); drop policy p on soak');
    await insert(5, 100);
  },
  async 'walsender ended'() {
    await sql("select pg_terminate_backend(pid) from pg_stat_replication where application_name = 'realtime'");
    await insert(5, 100);
    await waitFor(() => arrived.has(id), `row ${id} after the walsender ended`, 60000);
  },
};

// Those of tables and indexes are PostgreSQL's cache of open files: it follows what was looked at of late, within limits.
function descriptors(pid) {
  const folder = `/proc/${pid}/fd`;
  const targets = fs.readdirSync(folder).flatMap((name) => { try { return [fs.readlinkSync(`${folder}/${name}`)]; } catch { return []; } });
  const files = targets.filter((target) => /\/(base|global)\//.test(target)).length;
  return { descriptors: targets.length - files, files };
}

async function measure() {
  const [{ pid }] = await rows("select pid from pg_stat_activity where backend_type = 'realtime worker'");
  await waitFor(() => arrived.has(id), `row ${id}`, 120000);
  const delays = [];
  for (let i = 0; i < kSamples; i += 1) {
    const at = process.hrtime.bigint();
    await insert(1, 10);
    await waitFor(() => arrived.has(id), `row ${id}`, 10000);
    delays.push(Number(arrived.get(id) - at) / 1e6);
  }
  arrived = new Map([[id, 0n]]);
  await sql('truncate soak');
  await waitFor(async () => (await rows('select connections from realtime.stat_worker'))[0].connections <= kStay, 'guests to be gone', 30000);
  await new Promise((resolve) => setTimeout(resolve, kGivenBackMs));
  const status = fs.readFileSync(`/proc/${pid}/status`, 'utf8');
  delays.sort((a, b) => a - b);
  return {
    pid, memory: Number(/RssAnon:\s*(\d+)/.exec(status)[1]), ...descriptors(pid),
    p50: delays[kSamples / 2], p99: delays[Math.floor(kSamples * 0.99)],
  };
}

const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];

function judge(cycles) {
  const counted = cycles.slice(Math.floor(cycles.length * kUncounted));
  const third = Math.max(1, Math.floor(counted.length / 3));
  const figures = (part) => Object.fromEntries(['memory', 'descriptors', 'files', 'p50', 'p99'].map((key) => [key, median(part.map((each) => each[key]))]));
  const first = figures(counted.slice(0, third));
  const last = figures(counted.slice(-third));
  const show = (name, each) => console.log(`${name.padEnd(8)} memory ${(each.memory / 1024).toFixed(1)} MiB, ${each.descriptors} descriptors and ${each.files} of tables, ` +
    `row to client p50 ${each.p50.toFixed(2)} ms, p99 ${each.p99.toFixed(2)} ms`);
  show('start', first);
  show('end', last);
  // Memory may settle for long: what counts is that it does not go on growing in step with the work.
  if (last.memory > first.memory * 1.1 + kMemorySlackKib) failures.push('memory has grown');
  if (last.descriptors > first.descriptors + kDescriptorSlack) failures.push('descriptors have grown');
  if (last.files > first.files + kFileSlack) failures.push('open files of tables have grown');
  if (last.p50 > first.p50 * kLatencyFactor + kLatencySlackMs) failures.push('latency has grown');
  if (new Set(cycles.map((each) => each.pid)).size > 1) failures.push('the worker was restarted');
  if (counted.length < 3) failures.push(`only ${counted.length} cycles count: give it more time`);
}

async function main() {
  await sql('create table soak (id int primary key, body text); grant select on soak to anon');
  await sql("select realtime.publish('soak')");
  arrived = new Map();
  let last = 0;
  const channels = [];
  for (let i = 0; i < kStay; i += 1) {
    channels.push(await join(open(), `stay-${i}`, i > 0 ? null : (row) => {
      if (row.id === undefined || row.id <= 0) return;
      if (row.id !== last + 1) failures.push(`row ${row.id} came after ${last}`);
      last = row.id;
      arrived.set(row.id, process.hrtime.bigint());
    }));
  }
  const cycles = [];
  while (Date.now() - begin < kSeconds * 1000 && failures.length === 0) {
    for (const phase of Object.values(kPhases)) {
      const until = Date.now() + kPhaseMs / 2;
      do await phase(channels); while (Date.now() < until);
    }
    cycles.push(await measure());
    const { memory, descriptors: own, files, p50, p99 } = cycles.at(-1);
    console.log(`${String(Math.round((Date.now() - begin) / 1000)).padStart(5)} s  cycle ${cycles.length}: ${(memory / 1024).toFixed(1)} MiB, ` +
      `${own} descriptors and ${files} of tables, p50 ${p50.toFixed(2)} ms, p99 ${p99.toFixed(2)} ms, ${id} rows`);
  }
  judge(cycles);
}

main().catch((error) => failures.push(error.stack)).finally(() => {
  for (const failure of failures) console.log(`FAILED: ${failure}`);
  process.exit(failures.length > 0 ? 1 : 0);
});
