'use strict';
// What a row costs with ever more subscribers who each see only their own rows, deliveries per second to subscribers who see
// every row, and checks per second of a policy that looks into a table of memberships. A socket carries thousands of channels
// (realtime.max_channels_per_client must be high enough). Numbers to vary: ROWS (default 20000), USERS (default
// 100,1000,10000; empty for none of the first).
const { Client } = require('pg');
const { Channels, userOf } = require('./channels');

const kRows = Number(process.env.ROWS || 20000);
const kUsers = (process.env.USERS ?? '100,1000,10000').split(',').filter(Boolean).map(Number);
const kRounds = 3;

const nowMs = () => performance.timeOrigin + performance.now();

const kCases = {
  'auth.uid() = user_id': { policy: 'auth.uid() = user_id' },
  '(select auth.uid()) = user_id': { policy: '(select auth.uid()) = user_id' },
  'filter n=eq.N': { filter: (n) => `n=eq.${n}` },
};

let tables = 0;
// Runs `rows` rows past `users` subscribers and returns the best round's milliseconds.
async function run(db, { users, rows, each, policy, filter }) {
  tables += 1;
  const table = `many_users_${process.pid}_${tables}`;
  await db.query(`create table ${table} (id bigint generated always as identity primary key, user_id uuid, n int, body text);
    grant select on ${table} to authenticated; select realtime.publish('${table}')`);
  if (policy) {
    await db.query(`alter table ${table} enable row level security;
      create policy own on ${table} using (${policy.replaceAll('TABLE', table)})`);
  }
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
  channels.close();
  await db.query(`drop table ${table}`);
  return best;
}

// 100 identities who all see every row.
async function everyRow(db, policy) {
  const rows = Math.max(1, Math.floor(kRows / 4));
  const ms = await run(db, { users: 100, rows, each: 100, policy });
  console.log(`100 users who see every row by ${policy}: ${Math.round((rows * 100 * 1000) / ms)} deliveries per second`);
}

// 100 users in 100 rooms, each in 10 of them: nobody can be passed over, each row asks everybody's membership.
async function memberships(db) {
  const members = `members_${process.pid}`;
  await db.query(`create table ${members} (room_id int, user_id uuid, primary key (room_id, user_id));
    insert into ${members} select (u + k) % 100, ${userOf('u')} from generate_series(0, 99) u, generate_series(0, 9) k;
    grant select on ${members} to authenticated; analyze ${members}`);
  const policy = `exists (select 1 from ${members} m where m.room_id = TABLE.n and m.user_id = auth.uid())`;
  const rows = Math.max(1, Math.floor(kRows / 4));
  const ms = await run(db, { users: 100, rows, each: 10, policy });
  console.log(`100 users, membership sub-query: ${Math.round((rows * 100 * 1000) / ms)} checks per second`);
  await db.query(`drop table ${members}`);
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
  await everyRow(db, 'auth.uid() is not null');
  await everyRow(db, 'user_id is not null and auth.uid() is not null');
  await memberships(db);
  await db.end();
}

main().catch((error) => { console.error(error); process.exit(1); });
