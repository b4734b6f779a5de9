'use strict';
// `old: true` in a binding: an UPDATE that takes a row out of the filter is told, to those who may see both rows.
const test = require('node:test');
const assert = require('node:assert/strict');
const { withTable, sql } = require('./lib/sql');
const { makeClient, subscribe, table } = require('./lib/clients');
const { makeToken, userToken } = require('./lib/token');
const { RawClient } = require('./lib/raw');

const kColumns = 'id int primary key, room int, title text, secret bool default false';
const kEndRoom = 77;
let marks = 1000;  // ids of the end marks
const uuid = (n) => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`;
const inRoom = (source, extra = {}) => table(source, { event: 'UPDATE', filter: 'room=eq.1', old: true, ...extra });

// One channel of a raw client with this binding, next to one that hears all. heard(): the data of the events so far, once
// everything that was committed has been judged.
async function listen(t, source, binding, { token } = {}) {
  const client = await RawClient.open(t);
  await client.listen('realtime:leaving', [binding], token ? { token } : {});
  await client.listen('realtime:all', [table(source, { event: 'INSERT' })], { token: makeToken({ role: 'service_role' }) });
  const dataOf = (topic) => client.frames.filter((f) => f.event === 'postgres_changes' && f.topic === topic).map((f) => f.payload.data);
  return {
    async heard() {
      marks += 1;
      await sql(`insert into ${source.quoted} (id, room) values (${marks}, ${kEndRoom})`);
      await client.next((f) => f.topic === 'realtime:all' && f.payload.data && f.payload.data.record.id === marks, 'the end mark');
      return dataOf('realtime:leaving');
    },
  };
}
const brief = (events) => events.map(({ record, left_filter }) => [record.id, record.room, left_filter]);

test('a row that leaves is told, marked, with its old values; one that stays or enters is not marked', async (t) => {
  const source = await withTable(t, kColumns, { full: true });
  await sql(`insert into ${source.quoted} values (1, 1, 'a'), (2, 1, 'b'), (3, 2, 'c'), (4, 2, 'd'), (5, null, 'e')`);
  const { heard } = await listen(t, source, inRoom(source));
  await sql(`update ${source.quoted} set room = 2 where id = 1`);
  await sql(`update ${source.quoted} set title = 'x' where id = 2`);
  await sql(`update ${source.quoted} set room = 1 where id = 3`);
  await sql(`update ${source.quoted} set room = 3 where id = 4`);
  await sql(`update ${source.quoted} set room = 1 where id = 5`);
  await sql(`update ${source.quoted} set room = null where id = 5`);
  const events = await heard();
  assert.deepEqual(brief(events), [[1, 2, true], [2, 1, undefined], [3, 1, undefined], [5, 1, undefined], [5, null, true]]);
  assert.deepEqual(events[0].record, { id: 1, room: 2, title: 'a', secret: false });
  assert.deepEqual(events[0].old_record, { id: 1, room: 1, title: 'a', secret: false });
  assert.equal(events[0].errors, null);
});

test('supabase-js passes the option on and hears the row that leaves; without it there is no event', async (t) => {
  const source = await withTable(t, kColumns, { full: true });
  await sql(`insert into ${source.quoted} values (1, 1, 'a')`);
  const asked = await subscribe(await makeClient(t), inRoom(source));
  const plain = await subscribe(await makeClient(t), table(source, { event: 'UPDATE', filter: 'room=eq.1' }));
  await sql(`update ${source.quoted} set room = 2`);
  await sql(`update ${source.quoted} set room = 1`);
  await asked.count(2);
  await plain.count(1);
  assert.deepEqual(asked.events.map((event) => [event.old.room, event.new.room]), [[1, 2], [2, 1]]);
  assert.deepEqual(plain.events.map((event) => [event.old.room, event.new.room]), [[2, 1]]);
});

test('an old row that the policies hide does not leave, nor does a new one', async (t) => {
  const source = await withTable(t, kColumns, { full: true, rls: ['for select using (not secret)'] });
  await sql(`insert into ${source.quoted} values (1, 1, 'a', true), (2, 1, 'b', false), (3, 1, 'c', false)`);
  for (const filter of ['room=eq.1', 'room=eq.1,title=like.%']) {
    await sql(`update ${source.quoted} set room = 1, secret = (id = 1)`);
    const { heard } = await listen(t, source, inRoom(source, { filter }));
    await sql(`update ${source.quoted} set room = 2, secret = false where id = 1`);
    await sql(`update ${source.quoted} set room = 2, secret = true where id = 2`);
    await sql(`update ${source.quoted} set room = 2 where id = 3`);
    assert.deepEqual(brief(await heard()), [[3, 2, true]], filter);
  }
});

test('only an UPDATE leaves: INSERT and DELETE are filtered as ever', async (t) => {
  const source = await withTable(t, kColumns, { full: true });
  const { heard } = await listen(t, source, inRoom(source, { event: '*' }));
  await sql(`insert into ${source.quoted} values (1, 1, 'a'), (2, 2, 'b')`);
  await sql(`delete from ${source.quoted} where id < 3`);
  const events = await heard();
  assert.deepEqual(events.map(({ type, left_filter }) => [type, left_filter]), [['INSERT', undefined], ['DELETE', undefined]]);
});

test('default replica identity: nothing is known of other columns, and of the key when it changes', async (t) => {
  const source = await withTable(t, kColumns);
  await sql(`insert into ${source.quoted} values (1, 1, 'a'), (2, 1, 'b')`);
  const room = await listen(t, source, inRoom(source));
  const key = await listen(t, source, inRoom(source, { filter: 'id=lt.10' }));
  const both = await listen(t, source, inRoom(source, { filter: 'id=eq.2,room=eq.1' }));
  await sql(`update ${source.quoted} set room = 2 where id = 1`);
  await sql(`update ${source.quoted} set id = 20 where id = 2`);
  assert.deepEqual(brief(await room.heard()), [[20, 1, undefined]]);
  const byKey = await key.heard();
  assert.deepEqual(brief(byKey), [[1, 2, undefined], [20, 1, true]]);
  assert.deepEqual(byKey[1].old_record, { id: 2 });
  assert.deepEqual(await both.heard(), []);
});

test('under policies a partly known old row leaves by its primary key alone, and patterns are not asked about it', async (t) => {
  const source = await withTable(t, 'id text primary key, room int unique not null', { rls: ['for select using (true)'], publish: true });
  await sql(`insert into ${source.quoted} values ('a', 1), ('b', 2)`);
  const client = await RawClient.open(t);
  const filters = ['id=eq.a', 'id=like.a%', 'room=eq.1'];
  for (const filter of filters) await client.listen(`realtime:${filter}`, [inRoom(source, { filter })]);
  await client.listen('realtime:all', [table(source)]);
  const heard = async (last) => {
    await client.next((f) => f.topic === 'realtime:all' && f.payload.data && f.payload.data.record.room === last, `room ${last}`);
    return filters.map((filter) => client.frames.filter((f) => f.event === 'postgres_changes' && f.topic === `realtime:${filter}`).length);
  };
  await sql(`update ${source.quoted} set id = 'z', room = 3 where id = 'a'`);
  assert.deepEqual(await heard(3), [1, 0, 0]);
  await sql(`alter table ${source.quoted} replica identity using index ${source.name}_room_key`);
  await sql(`update ${source.quoted} set room = 1 where id = 'z'`);
  await sql(`update ${source.quoted} set room = 4 where id = 'z'`);
  assert.deepEqual(await heard(4), [1, 0, 1]);  // it entered room 1
});

test('selected columns: old and new row have these alone', async (t) => {
  const source = await withTable(t, kColumns, { full: true });
  await sql(`insert into ${source.quoted} values (1, 1, 'a')`);
  const { heard } = await listen(t, source, inRoom(source, { select: ['title'] }));
  await sql(`update ${source.quoted} set room = 2`);
  const [event] = await heard();
  assert.deepEqual([event.record, event.old_record, event.left_filter], [{ id: 1, title: 'a' }, { id: 1, title: 'a' }, true]);
});

test('among many subscribers the row is told to the room it left, the one it enters, and nobody else', async (t) => {
  const source = await withTable(t, kColumns.replace('room int', 'room int, user_id uuid'), {
    full: true, rls: ['for select to authenticated using (user_id = auth.uid() or user_id is null)'],
  });
  await sql(`insert into ${source.quoted} (id, room) values (1, 3)`);
  const client = await RawClient.open(t);
  const rooms = Array.from({ length: 60 }, (_, i) => i);
  const old = (room) => room % 2 === 1;  // the others did not ask
  for (const room of rooms) {
    const binding = table(source, { event: 'UPDATE', filter: `room=eq.${room}`, ...(old(room) ? { old: true } : {}) });
    await client.listen(`realtime:room ${room}`, [binding], { token: userToken(uuid(room % 5)) });
  }
  await client.listen('realtime:all', [table(source)], { token: makeToken({ role: 'service_role' }) });
  const path = [4, 5, 5, 6, 99, 7, 9];
  for (const room of path) await sql(`update ${source.quoted} set room = ${room}`);
  await client.next((f) => f.topic === 'realtime:all' && f.payload.data && f.payload.data.record.room === 9, 'the last change');
  const expected = rooms.map(() => []);
  for (let i = 0, from = 3; i < path.length; from = path[i], i += 1) {
    if (expected[path[i]]) expected[path[i]].push([path[i], undefined]);
    if (from !== path[i] && expected[from] && old(from)) expected[from].push([path[i], true]);
  }
  const heard = rooms.map((room) => client.frames.filter((f) => f.event === 'postgres_changes' && f.topic === `realtime:room ${room}`)
    .map(({ payload: { data } }) => [data.record.room, data.left_filter]));
  assert.deepEqual(heard, expected);
});
