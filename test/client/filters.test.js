'use strict';
// test_row_level_filter: every operator on every kind of column. PostgreSQL itself says which rows are expected.
const test = require('node:test');
const assert = require('node:assert/strict');
const { withTable, sql, rows, uniqueName } = require('./lib/sql');
const { cleanup } = require('./lib/cleanup');
const { makeClient, subscribe, table, kVersions } = require('./lib/clients');

const kUuid = (n) => `00000000-0000-4000-8000-00000000000${n}`;

async function moodType(t) {
  const name = uniqueName('mood_');
  cleanup(t, () => sql(`drop type ${name} cascade`));
  await sql(`create type ${name} as enum ('sad', 'ok', 'happy')`);
  return name;
}

async function manyColumns(t, options) {
  const mood = await moodType(t);
  return withTable(t, `id int primary key, i int, big bigint, t text collate "C", vc varchar(20), n numeric(10,4), f float8,
    ts timestamptz, d date, u uuid, m ${mood}, b bool, c char(5)`, options);
}

const kRows = [
  `(1, 1, 9007199254740993, 'apple', 'x', 1.5, 0.5, '2024-01-01 00:00:00+00', '2024-01-01', '${kUuid(1)}', 'sad', true, 'abc')`,
  `(2, 10, 2, 'a,b', 'y', 1.50, 'NaN', '2024-06-01 12:00:00+02', '2024-06-01', '${kUuid(2)}', 'ok', false, 'abd')`,
  `(3, 2, -3, 'b"c', 'z z', -0.0001, '-Infinity', '2025-01-01', '2025-01-01', '${kUuid(3)}', 'happy', null, 'a')`,
  `(4, -5, 0, '', '', 100, 1e10, 'infinity', 'infinity', '${kUuid(4)}', 'ok', true, '')`,
  `(5, null, null, null, null, null, null, null, null, null, null, null, null)`,
  `(6, 2147483647, 9007199254740992, 'ünïcode €', '(x)', 99999.9999, 1, '1999-12-31 23:59:59.999999+00', '1999-12-31', '${kUuid(5)}', 'sad', false, 'abc')`,
];

// Filter as the client writes it, and the condition that says the same in SQL.
const kFilters = [
  ['i=eq.10', 'i = 10'], ['i=neq.10', 'i <> 10'], ['i=lt.10', 'i < 10'], ['i=lte.10', 'i <= 10'], ['i=gt.2', 'i > 2'],
  ['i=gte.2', 'i >= 2'], ['i=in.(1,2,77)', 'i in (1, 2, 77)'], ['i=in.( 1 , 10 )', 'i in (1, 10)'], ['i=eq.-5', 'i = -5'],
  ['big=eq.9007199254740993', 'big = 9007199254740993'], ['big=gt.9007199254740991', 'big > 9007199254740991'],
  ['t=eq.apple', "t = 'apple'"], ['t=neq.apple', "t <> 'apple'"], ['t=eq."a,b"', "t = 'a,b'"], ['t=lt.b', "t < 'b'"],
  ['t=gte.b', "t >= 'b'"], ['t=in.(apple,"a,b",nothing)', "t in ('apple', 'a,b')"], ['t=in.("b\\"c")', "t = 'b\"c'"],
  ['t=eq.', "t = ''"], ['t=eq.ünïcode €', "t = 'ünïcode €'"], ['t=eq."b\\"c"', "t = 'b\"c'"],
  ['vc=eq.z z', "vc = 'z z'"], ['vc=in.(x,y)', "vc in ('x', 'y')"], ['vc=eq.(x)', "vc = '(x)'"],
  ['n=eq.1.5', 'n = 1.5'], ['n=lt.0', 'n < 0'], ['n=gte.1.50', 'n >= 1.5'], ['n=in.(100.0,1.5)', 'n in (100, 1.5)'],
  ['f=gt.0.4', 'f > 0.4'], ['f=eq.NaN', "f = 'NaN'"], ['f=lt.0', 'f < 0'],
  ['ts=gt.2024-03-01T00:00:00Z', "ts > '2024-03-01 00:00:00+00'"], ['ts=eq.2024-06-01T10:00:00+00:00', "ts = '2024-06-01 10:00:00+00'"],
  ['ts=lte.2024-06-01 10:00:00+00', "ts <= '2024-06-01 10:00:00+00'"], ['ts=eq.infinity', "ts = 'infinity'"],
  ['d=gte.2024-06-01', "d >= '2024-06-01'"], ['d=in.(2024-01-01,2025-01-01)', "d in ('2024-01-01', '2025-01-01')"],
  [`u=eq.${kUuid(1).toUpperCase()}`, `u = '${kUuid(1)}'`], [`u=in.(${kUuid(2)},${kUuid(4)})`, `u in ('${kUuid(2)}', '${kUuid(4)}')`],
  [`u=gt.${kUuid(3)}`, `u > '${kUuid(3)}'`],
  ['m=eq.ok', "m = 'ok'"], ['m=gt.sad', "m > 'sad'"], ['m=lte.ok', "m <= 'ok'"], ['m=in.(sad,happy)', "m in ('sad', 'happy')"],
  ['b=eq.true', 'b'], ['b=eq.f', 'not b'], ['b=neq.true', 'b <> true'], ['b=in.(true,false)', 'b is not null'],
  ['c=eq.abc', "c = 'abc'"],
  ['i=gt.0,i=lt.10', 'i > 0 and i < 10'], ['i=gte.1, t=eq.apple ,b=eq.true', "i >= 1 and t = 'apple' and b"],
  ['m=in.(sad,ok),n=gt.1,b=eq.false', "m in ('sad', 'ok') and n > 1 and not b"], ['t=in.("a,b",apple),i=eq.10', "t = 'a,b' and i = 10"],
  ['', 'true'], ['   ', 'true'],
];

for (const vsn of kVersions) {
  test(`test_row_level_filter: every operator and column type on INSERT, vsn ${vsn}`, async (t) => {
    const source = await manyColumns(t);
    const client = await makeClient(t, { vsn });
    const bindings = kFilters.map(([filter]) => table(source, { event: 'INSERT', filter }));
    const recording = await subscribe(client, [...bindings, table(source, { event: 'DELETE' })]);
    for (const values of kRows) await sql(`insert into ${source.quoted} values ${values}`);
    const expected = [];
    for (const [, condition] of kFilters) {
      expected.push((await rows(`select id from ${source.quoted} where ${condition} order by id`)).map(({ id }) => id));
    }
    await sql(`delete from ${source.quoted} where id = 1`);
    await recording.event((event) => event.eventType === 'DELETE', 'the end mark');
    kFilters.forEach(([filter], index) => {
      const got = recording.events.filter((event) => event.binding === index).map((event) => event.new.id);
      assert.deepEqual(got, expected[index], `filter ${filter}`);
    });
  });
}

test('test_row_level_filter: UPDATE looks at the new values', async (t) => {
  const source = await withTable(t, 'id int primary key, n int');
  const recording = await subscribe(await makeClient(t), table(source, { event: 'UPDATE', filter: 'n=gt.10' }));
  await sql(`insert into ${source.quoted} values (1, 5), (2, 50)`);
  await sql(`update ${source.quoted} set n = 11 where id = 1`);
  await sql(`update ${source.quoted} set n = 1 where id = 2`);
  await sql(`update ${source.quoted} set n = 99 where id = 2`);
  await recording.count(2);
  assert.deepEqual(recording.events.map((event) => [event.new.id, event.new.n]), [[1, 11], [2, 99]]);
});

test('test_row_level_filter: DELETE looks at the old row, as far as it is known', async (t) => {
  const byKey = await withTable(t, 'id int primary key, n int');
  const full = await withTable(t, 'id int primary key, n int', { full: true });
  const recording = await subscribe(await makeClient(t), [
    table(byKey, { event: 'DELETE', filter: 'n=eq.1' }), table(byKey, { event: 'DELETE', filter: 'id=eq.2' }),
    table(full, { event: 'DELETE', filter: 'n=eq.1' }), table(full, { event: 'DELETE', filter: 'n=eq.2' }),
  ]);
  for (const source of [byKey, full]) {
    await sql(`insert into ${source.quoted} values (1, 1), (2, 2), (3, 1)`);
    await sql(`delete from ${source.quoted} where id = 1`);
    await sql(`delete from ${source.quoted} where id = 2`);
    await sql(`delete from ${source.quoted} where id = 3`);
  }
  await recording.event((event) => event.binding === 2 && event.old.id === 3);
  assert.deepEqual(recording.events.map((event) => [event.binding, event.old.id]), [[1, 2], [2, 1], [3, 2], [2, 3]]);
});

test('test_row_level_filter: a TOASTed column that an UPDATE leaves alone', async (t) => {
  const columns = 'id int primary key, n int, big text';
  const full = await withTable(t, columns, { full: true });
  await sql(`alter table ${full.quoted} alter big set storage external`);
  await sql(`insert into ${full.quoted} values (1, 0, repeat('x', 9000))`);
  const recording = await subscribe(await makeClient(t), [
    table(full, { filter: 'big=gt.x' }), table(full, { filter: 'n=eq.2' }),
  ]);
  await sql(`update ${full.quoted} set n = 2`);
  await recording.count(2);
  assert.deepEqual(recording.events.map((event) => event.binding), [0, 1]);
  assert.equal(recording.events[0].new.big.length, 9000);
});

test('test_row_level_filter: many subscribers with a filter of their own each get their rows only', async (t) => {
  const source = await withTable(t, 'id int primary key, user_id int');
  const kUsers = 60;
  const client = await makeClient(t);
  const recordings = [];
  for (let user = 0; user < kUsers; user += 1) {
    recordings.push(await subscribe(client, table(source, { filter: `user_id=eq.${user}` })));
  }
  await sql(`insert into ${source.quoted} select i, i % ${kUsers} from generate_series(0, ${kUsers * 10 - 1}) i`);
  for (const [user, recording] of recordings.entries()) {
    await recording.count(10);
    assert.deepEqual(recording.values(), Array.from({ length: 10 }, (_, i) => user + i * kUsers));
  }
});

test('test_row_level_filter: an array column compares as in SQL and disturbs nobody', async (t) => {
  const source = await withTable(t, 'id int primary key, note text, tags text[]');
  const client = await makeClient(t);
  const odd = await subscribe(client, table(source, { filter: 'tags=eq."{a,b}"' }));
  const plain = await subscribe(client, table(source));
  await sql(`insert into ${source.quoted} values (1, 'w', '{a,b}'), (2, 'x', '{c}'), (3, 'y', null)`);
  await plain.count(3);
  assert.deepEqual(plain.values(), [1, 2, 3]);
  await odd.count(1);
  assert.deepEqual(odd.values(), [1]);
});
