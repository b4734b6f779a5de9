'use strict';
// What a row costs the worker with up to 100,000 identities who each see only their own rows, and the worker's memory.
// Processor time of the worker's two threads is what counts: the client and the database share the machine. Every user gets
// a row in turn, in an order that no cache can foresee. Numbers to vary: CURVE_USERS (default
// 100,1000,10000,30000,100000), CURVE_ROWS (200000; at least as many as users), CURVE_CHANNELS (1000 per socket).
const fs = require('node:fs');
const { Client } = require('pg');
const { Channels, userOf } = require('./channels');

const kUsers = (process.env.CURVE_USERS || '100,1000,10000,30000,100000').split(',').map(Number);
const kRows = Number(process.env.CURVE_ROWS || 200000);
const kPerSocket = Number(process.env.CURVE_CHANNELS || 1000);
const kRounds = 3;
const kTicksPerSecond = 100;  // USER_HZ, the same everywhere
const kSpread = 7919;  // a prime, so that i * kSpread % users meets every user

const kCases = {
  'auth.uid() = user_id': { policy: 'auth.uid() = user_id' },
  '(select auth.uid()) = user_id': { policy: '(select auth.uid()) = user_id' },
  'filter n=eq.N': { filter: (n) => `n=eq.${n}` },
};

// Seconds of processor time of the database thread and of the others.
function processorTime(pid) {
  const of = (tid) => {
    const fields = fs.readFileSync(`/proc/${pid}/task/${tid}/stat`, 'utf8').replace(/^.*\) /s, '').split(' ');
    return (Number(fields[11]) + Number(fields[12])) / kTicksPerSecond;
  };
  const network = fs.readdirSync(`/proc/${pid}/task`).filter((tid) => tid !== String(pid));
  return { database: of(pid), network: network.reduce((sum, tid) => sum + of(tid), 0) };
}

const memoryMib = (pid) => Number(/RssAnon:\s*(\d+)/.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) / 1024;

async function makeTable(db, table, { policy }) {
  await db.query(`drop table if exists ${table};
    create table ${table} (id bigint generated always as identity primary key, user_id uuid, n int, body text);
    grant select on ${table} to authenticated; select realtime.publish('${table}')`);
  if (policy) await db.query(`alter table ${table} enable row level security; create policy own on ${table} using (${policy})`);
}

// Microseconds per row, and what the worker holds of its own after it, in MiB.
async function measure(db, pid, users, options) {
  const table = 'bench_curve';
  await makeTable(db, table, options);
  const channels = new Channels(table, users, options.filter, { perSocket: kPerSocket });
  await channels.open();
  const insert = async () => {
    const arrived = channels.wait(kRows);
    await db.query(`insert into ${table} (user_id, n, body) select ${userOf('u')}, u, repeat('x', 100)
      from (select (i::bigint * ${kSpread} % ${users})::int as u from generate_series(1, ${kRows}) i) as spread`);
    await arrived;
    channels.beat();
  };
  await insert();  // everybody's first: what is made at first use is made now
  const start = processorTime(pid);
  for (let round = 0; round < kRounds; round += 1) await insert();
  const end = processorTime(pid);
  const memory = memoryMib(pid);
  channels.close();
  await db.query(`drop table ${table}`);
  const perRow = (name) => ((end[name] - start[name]) * 1e6) / (kRows * kRounds);
  return { database: perRow('database'), network: perRow('network'), memory };
}

async function main() {
  const db = new Client();
  await db.connect();
  const pid = (await db.query("select pid from pg_stat_activity where backend_type = 'realtime worker'")).rows[0].pid;
  const line = (...cells) => console.log(cells[0].padEnd(34) + cells.slice(1).map((cell) => String(cell).padStart(11)).join(''));
  line('processor time per row, us', 'users', 'database', 'network', 'ratio', 'MiB');
  for (const [name, options] of Object.entries(kCases)) {
    let first;
    for (const users of kUsers) {
      const cost = await measure(db, pid, users, options);
      const sum = cost.database + cost.network;
      first = first || sum;
      line(`  ${name}`, users, cost.database.toFixed(2), cost.network.toFixed(2), (sum / first).toFixed(2), cost.memory.toFixed(1));
    }
  }
  await db.end();
}

main().catch((error) => { console.error(error); process.exit(1); });
