'use strict';
// Coming back: a binding with `since` begins with what it has missed.
const test = require('node:test');
const assert = require('node:assert/strict');
const { withTable, connect, sql, rows, transaction } = require('./lib/sql');
const { RawClient } = require('./lib/raw');
const { makeClient, subscribe, table, newTopic } = require('./lib/clients');
const { makeToken, userToken } = require('./lib/token');

const kAnn = '99999999-9999-4999-8999-999999999999';

const insert = (source, ...ids) => sql(`insert into ${source.quoted} (id) values ${ids.map((id) => `(${id})`).join(', ')}`);
const point = (change) => ({ since: change.payload.data.commit_lsn, since_row: change.payload.data.commit_row });
const idOf = (change) => change.payload.data.record.id;

// The ids of the next changes of a client, up to this one.
async function idsUpTo(client, last) {
  const ids = [];
  while (ids.at(-1) !== last) ids.push(idOf(await client.change()));
  return ids;
}

// A client that has seen the first row, and a witness that keeps the stream and the table's audience alive.
async function scene(t, { columns = 'id int primary key', ...options } = {}) {
  const source = await withTable(t, columns, options);
  const witness = await subscribe(await makeClient(t, { token: userToken(kAnn) }), table(source));
  const first = await RawClient.open(t);
  await first.listen(`realtime:${newTopic()}`, [table(source)], { token: userToken(kAnn) });
  await insert(source, 1);
  const seen = await first.change();
  first.socket.terminate();
  return { source, witness, seen };
}

async function comeBack(t, source, extra, token = userToken(kAnn)) {
  const client = await RawClient.open(t);
  await client.listen(`realtime:${newTopic()}`, [].concat(extra).map((one) => table(source, one)), { token });
  return client;
}

test('every event says where it is in the log', async (t) => {
  const source = await withTable(t, 'id int primary key');
  const client = await RawClient.open(t);
  await client.listen(`realtime:${newTopic()}`, [table(source)]);
  const [{ before }] = await rows('select pg_current_wal_insert_lsn() as before');
  await insert(source, 1, 2);
  await insert(source, 3);
  const [{ after }] = await rows('select pg_current_wal_insert_lsn() as after');
  const places = [];
  for (let i = 0; i < 3; i += 1) {
    const { commit_lsn: lsn, commit_row: row } = (await client.change()).payload.data;
    places.push({ lsn, row });
  }
  assert.deepEqual(places.map((place) => place.row), [1, 2, 1]);
  assert.equal(places[0].lsn, places[1].lsn);
  const [{ ordered }] = await rows('select $1::pg_lsn <= $2::pg_lsn and $2::pg_lsn < $3::pg_lsn and $3::pg_lsn < $4::pg_lsn as ordered',
    [before, places[0].lsn, places[2].lsn, after]);
  assert.equal(ordered, true);
});

test('a client that comes back gets what it missed, then what is new, each once and in order', async (t) => {
  const { source, witness, seen } = await scene(t);
  await insert(source, 2, 3);
  await insert(source, 4);
  await witness.count(4);
  const client = await comeBack(t, source, point(seen));
  await insert(source, 5);
  await insert(source, 6);
  assert.deepEqual(await idsUpTo(client, 6), [2, 3, 4, 5, 6]);
});

test('nothing is lost or repeated while the stream runs on', async (t) => {
  const { source, seen } = await scene(t);
  const writer = (async () => {
    for (let id = 2; id <= 400; id += 1) await insert(source, id);
  })();
  await insert(source, 100001);
  const clients = await Promise.all(Array.from({ length: 5 }, () => comeBack(t, source, point(seen))));
  await writer;
  await insert(source, 1000);
  for (const client of clients) {
    const ids = (await idsUpTo(client, 1000)).filter((id) => id < 1000);
    assert.deepEqual(ids, Array.from({ length: 399 }, (_, i) => i + 2));
  }
});

test('in the midst of a commit it goes on with the next row, and without a row the commit counts as seen', async (t) => {
  const { source, witness } = await scene(t);
  await insert(source, 10, 11, 12);
  await witness.count(4);
  const client = await RawClient.open(t);
  await client.listen(`realtime:${newTopic()}`, [table(source)]);
  await insert(source, 20, 21, 22);
  const [first, second] = [await client.change(), await client.change()];
  assert.equal(idOf(second), 21);
  const inside = await comeBack(t, source, point(second));
  const whole = await comeBack(t, source, { since: first.payload.data.commit_lsn });
  const again = await comeBack(t, source, { since: first.payload.data.commit_lsn, since_row: 0 });
  await insert(source, 30);
  assert.deepEqual(await idsUpTo(inside, 30), [22, 30]);
  assert.deepEqual(await idsUpTo(whole, 30), [30]);
  assert.deepEqual(await idsUpTo(again, 30), [20, 21, 22, 30]);
});

test('what was missed is filtered, projected and judged as everything else', async (t) => {
  const { source, witness, seen } = await scene(t, {
    columns: 'id int primary key, owner uuid, room int', rls: ['for select to authenticated using (owner is null or owner = auth.uid())'],
  });
  await sql(`insert into ${source.quoted} values (2, null, 1), (3, '${kAnn}', 2), (4, gen_random_uuid(), 1), (5, '${kAnn}', 1)`);
  await sql(`delete from ${source.quoted} where id = 5`);
  await witness.event((event) => event.eventType === 'DELETE');
  const client = await comeBack(t, source, { ...point(seen), event: 'INSERT', filter: 'room=eq.1', select: ['room'] });
  await sql(`insert into ${source.quoted} values (6, null, 1)`);
  const records = [];
  while (records.at(-1)?.id !== 6) records.push((await client.change()).payload.data.record);
  assert.deepEqual(records, [{ id: 2, room: 1 }, { id: 5, room: 1 }, { id: 6, room: 1 }]);
});

test('a right that was lost since is lost for what was missed too', async (t) => {
  const { source, witness, seen } = await scene(t, {
    columns: 'id int primary key', rls: ['for select to authenticated using (true)'],
  });
  await insert(source, 2);
  await witness.count(2);
  await sql(`alter policy p0 on ${source.quoted} using (id > 2)`);
  const client = await comeBack(t, source, point(seen));
  await insert(source, 3);
  assert.deepEqual(await idsUpTo(client, 3), [3]);
});

test('a table that was changed since is replayed in its own shape', async (t) => {
  const { source, witness, seen } = await scene(t);
  await insert(source, 2);
  await witness.count(2);
  await sql(`alter table ${source.quoted} add column body text default 'x'`);
  await insert(source, 3);
  await witness.count(3);
  const client = await comeBack(t, source, point(seen));
  await insert(source, 4);
  const records = [];
  while (records.at(-1)?.id !== 4) records.push((await client.change()).payload.data.record);
  assert.deepEqual(records.map((record) => record.id), [2, 3, 4]);
  assert.deepEqual(records.slice(1).map((record) => record.body), ['x', 'x']);
});

for (const listened of [true, false]) {
  test(`a name that another column has now does not show what the first had, ${listened ? '' : 'never '}listened to before`, async (t) => {
    const source = await withTable(t, 'id int primary key, note text', { grant: null, rls: ["for select using (note is distinct from 'no')"] });
    const other = await withTable(t, 'id int primary key');
    await sql(`grant select (id) on ${source.quoted} to authenticated`);
    const witness = await subscribe(await makeClient(t, { token: userToken(kAnn) }), listened ? [table(source), table(other)] : table(other));
    const { rows: [{ since }] } = await sql('select pg_current_wal_insert_lsn() as since');
    await sql(`insert into ${source.quoted} values (1, 'secret'), (2, 'no')`);
    await insert(other, 100);
    await witness.event((event) => event.new.id === 100);
    await sql(`alter table ${source.quoted} rename note to note_internal; alter table ${source.quoted} add note text;
      grant select (note) on ${source.quoted} to authenticated`);
    const client = await comeBack(t, source, { since });
    await sql(`insert into ${source.quoted} values (3, 'secret', 'open')`);
    const records = [];
    while (records.at(-1)?.id !== 3) records.push((await client.change()).payload.data.record);
    assert.deepEqual(records, [{ id: 1 }, { id: 3, note: 'open' }]);
  });
}

test('a column that was dropped and added again has its value from then on', async (t) => {
  const { source, witness, seen } = await scene(t, { columns: 'id int primary key, note text' });
  await sql(`insert into ${source.quoted} values (2, 'old')`);
  await witness.count(2);
  await sql(`alter table ${source.quoted} drop note; alter table ${source.quoted} add note text`);
  await sql(`insert into ${source.quoted} values (3, 'new')`);
  await witness.count(3);
  const client = await comeBack(t, source, point(seen));
  await sql(`insert into ${source.quoted} values (4, 'newer')`);
  const records = [];
  while (records.at(-1)?.id !== 4) records.push((await client.change()).payload.data.record);
  assert.deepEqual(records, [{ id: 2 }, { id: 3, note: 'new' }, { id: 4, note: 'newer' }]);
  await witness.count(4);
  assert.deepEqual(witness.events.slice(1).map((event) => event.new.note), ['old', 'new', 'newer']);
});

test('a binding without since on the same channel begins at now', async (t) => {
  const { source, witness, seen } = await scene(t);
  await insert(source, 2);
  await witness.count(2);
  const client = await RawClient.open(t);
  const [resumed, fresh] = await client.listen(`realtime:${newTopic()}`, [table(source, point(seen)), table(source)]);
  await insert(source, 3);
  const got = [];
  while (got.filter(([, id]) => id === 3).length < 2) {
    const change = await client.change();
    for (const id of change.payload.ids) got.push([id, idOf(change)]);
  }
  assert.deepEqual(got.filter(([id]) => id === resumed).map(([, id]) => id), [2, 3]);
  assert.deepEqual(got.filter(([id]) => id === fresh).map(([, id]) => id), [3]);
});

test('a new token does not begin the replay again', async (t) => {
  const { source, witness, seen } = await scene(t);
  await insert(source, 2);
  await witness.count(2);
  const client = await RawClient.open(t);
  const topic = `realtime:${newTopic()}`;
  const reply = await client.join(topic, { bindings: [table(source, point(seen))], token: userToken(kAnn) });
  assert.equal(reply.payload.status, 'ok');
  assert.equal(idOf(await client.change()), 2);
  client.push(topic, 'access_token', { access_token: makeToken({ role: 'authenticated', sub: kAnn, again: true }) }, { join_ref: reply.join_ref });
  await client.event('system');
  await insert(source, 3);
  assert.deepEqual(await idsUpTo(client, 3), [3]);
});

test('a position that is too old, or not there yet, is told, and the binding is served from now on', async (t) => {
  const { source, witness } = await scene(t);
  const client = await RawClient.open(t);
  for (const [since, text] of [['0/1', /^Changes since 0\/1 are no longer known, only those since [0-9A-F]+\/[0-9A-F]+: .*read the table again$/],
    ['FFFFFFF/0', /^There is no position FFFFFFF\/0 in this server's log yet/]]) {
    const topic = `realtime:${newTopic()}`;
    await client.listen(topic, [table(source, { since })]);
    const notice = await client.event('system');
    assert.equal(notice.topic, topic);
    assert.equal(notice.payload.status, 'error');
    assert.equal(notice.payload.extension, 'postgres_changes');
    assert.match(notice.payload.message, text);
  }
  await insert(source, 2);
  assert.equal(idOf(await client.change()), 2);
  assert.deepEqual(witness.systems.filter((system) => system.status === 'error'), []);
});

test('supabase-js sends since as it is', async (t) => {
  const { source, witness, seen } = await scene(t);
  await insert(source, 2);
  await witness.count(2);
  const back = await subscribe(await makeClient(t, { token: userToken(kAnn) }), table(source, point(seen)));
  await insert(source, 3);
  await back.count(2);
  assert.deepEqual(back.values(), [2, 3]);
});

test('who comes back while a table is locked gets everything when the lock is released', async (t) => {
  const members = await withTable(t, 'user_id uuid', { publish: false });
  await sql(`insert into ${members.quoted} values ('${kAnn}')`);
  const { source, witness, seen } = await scene(t, {
    rls: [`for select to authenticated using (exists (select 1 from ${members.quoted} m where m.user_id = auth.uid()))`],
  });
  const free = await withTable(t, 'id int primary key');
  const sentinel = await subscribe(await makeClient(t), table(free));
  const holder = await connect(t);
  await holder.query(`begin; lock table ${members.quoted} in access exclusive mode`);
  await insert(source, 2);
  const client = await comeBack(t, source, point(seen));
  await insert(source, 3);
  await insert(free, 1);
  await sentinel.count(1);
  await holder.query('commit');
  await insert(source, 4);
  assert.deepEqual(await idsUpTo(client, 4), [2, 3, 4]);
  await witness.count(4);
  assert.deepEqual(witness.values(), [1, 2, 3, 4]);
});

test('two equal bindings get what they missed once and in order, however long that takes', async (t) => {
  const { source, witness, seen } = await scene(t);
  const kLast = 8000;
  await sql(`insert into ${source.quoted} (id) select generate_series(2, ${kLast})`);
  await witness.count(kLast, 60000);
  const client = await comeBack(t, source, [point(seen), point(seen)]);
  await insert(source, kLast + 1);
  assert.deepEqual(await idsUpTo(client, kLast + 1), Array.from({ length: kLast }, (_, i) => i + 2));
});

test('what a transaction that rolled back did is not in the history', async (t) => {
  const { source, witness, seen } = await scene(t);
  await assert.rejects(transaction([`insert into ${source.quoted} (id) values (2)`, 'select 1/0']));
  await insert(source, 3);
  await witness.count(2);
  const client = await comeBack(t, source, point(seen));
  await insert(source, 4);
  assert.deepEqual(await idsUpTo(client, 4), [3, 4]);
});
