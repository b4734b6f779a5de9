'use strict';
// The JSON value of every type, with char(n) and bit(n) at their full width.
const test = require('node:test');
const assert = require('node:assert/strict');
const { withTable, connect, sql, rows, uniqueName } = require('./lib/sql');
const { cleanup } = require('./lib/cleanup');
const { makeClient, subscribe, table } = require('./lib/clients');
const { RawClient } = require('./lib/raw');
const { rawValues } = require('./lib/raw_values');

// SQL type, literal, the JSON text of the value (blanks removed), pg_type.typname.
const kValues = [
  ['smallint', "'-32768'", '-32768', 'int2'],
  ['int', "'2147483647'", '2147483647', 'int4'],
  ['bigint', "'9007199254740993'", '9007199254740993', 'int8'],
  ['numeric', "'123.4500'", '123.4500', 'numeric'],
  ['numeric(6,2)', "'1.5'", '1.50', 'numeric'],
  ['numeric', "'NaN'", 'null', 'numeric'],
  ['numeric', "'-Infinity'", 'null', 'numeric'],
  ['numeric', "'123456789012345678901234567890.123456789'", '123456789012345678901234567890.123456789', 'numeric'],
  ['real', "'1.25'", '1.25', 'float4'],
  ['float8', "'0.1'", '0.1', 'float8'],
  ['float8', "'1e300'", '1e+300', 'float8'],
  ['float8', "'NaN'", 'null', 'float8'],
  ['float8', "'Infinity'", 'null', 'float8'],
  ['bool', "'t'", 'true', 'bool'],
  ['bool', "'f'", 'false', 'bool'],
  ['text', "'a\"b\\c/é€😀'", '"a\\"b\\\\c/é€😀"', 'text'],
  ['text', "E'tab\\tnew\\nline\\u0001'", '"tab\\tnew\\nline\\u0001"', 'text'],
  ['text', "''", '""', 'text'],
  ['varchar(5)', "'abc'", '"abc"', 'varchar'],
  ['name', "'n'", '"n"', 'name'],
  ['char(5)', "'abc'", '"abc  "', 'bpchar'],
  ['"char"', "'x'", '"x"', 'char'],
  ['bit(4)', "'1010'", '"1010"', 'bit'],
  ['varbit', "'101'", '"101"', 'varbit'],
  ['uuid', "'AAAAAAAA-bbbb-4ccc-8ddd-EEEEEEEEEEEE'", '"aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"', 'uuid'],
  ['json', "'{\"b\":1,\"a\":[1,null]}'", '{"b":1,"a":[1,null]}', 'json'],
  ['jsonb', "'{\"k\":{\"x\":\"y\"}}'", '{"k":{"x":"y"}}', 'jsonb'],
  ['jsonb', "'null'", 'null', 'jsonb'],
  ['jsonb', "'\"text\"'", '"text"', 'jsonb'],
  ['timestamp', "'2021-01-02 03:04:05'", '"2021-01-02T03:04:05"', 'timestamp'],
  ['timestamp', "'2021-01-02 03:04:05.120'", '"2021-01-02T03:04:05.12"', 'timestamp'],
  ['timestamptz', "'2021-01-02 03:04:05.123456+02'", '"2021-01-02T01:04:05.123456+00:00"', 'timestamptz'],
  ['timestamptz', "'infinity'", '"infinity"', 'timestamptz'],
  ['date', "'2021-01-02'", '"2021-01-02"', 'date'],
  ['date', "'-infinity'", '"-infinity"', 'date'],
  ['time', "'03:04:05'", '"03:04:05"', 'time'],
  ['timetz', "'03:04:05+02'", '"03:04:05+02"', 'timetz'],
  ['interval', "'1 day 2 hours'", '"1day02:00:00"', 'interval'],
  ['bytea', "'\\xdeadbeef'", '"deadbeef"', 'bytea'],
  ['bytea', "''", '""', 'bytea'],
  ['bytea[]', "array['\\xde'::bytea]", '["\\\\xde"]', '_bytea'],
  ['int[]', "'{1,NULL,3}'", '[1,null,3]', '_int4'],
  ['int[]', "'{}'", '[]', '_int4'],
  ['int[]', "'{{1,2},{3,4}}'", '[[1,2],[3,4]]', '_int4'],
  ['text[]', "array['a','b c','d\"e','f\\g','NULL',null,'']", '["a","bc","d\\"e","f\\\\g","NULL",null,""]', '_text'],
  ['bool[]', "'{t,f}'", '[true,false]', '_bool'],
  ['numeric[]', "'{1.50,NaN}'", '[1.50,"NaN"]', '_numeric'],
  ['timestamp[]', "'{2021-01-02 03:04:05}'", '["2021-01-02T03:04:05"]', '_timestamp'],
  ['jsonb[]', "array['{\"a\":1}'::jsonb]", '[{"a":1}]', '_jsonb'],
  ['inet', "'10.0.0.1/8'", '"10.0.0.1/8"', 'inet'],
  ['macaddr', "'08:00:2b:01:02:03'", '"08:00:2b:01:02:03"', 'macaddr'],
  ['point', "'(1,2)'", '"(1,2)"', 'point'],
  ['int4range', "'[1,5)'", '"[1,5)"', 'int4range'],
  ['tsvector', "'a:1 b:2'", '"\'a\':1\'b\':2"', 'tsvector'],
  ['xml', "'<a>1</a>'", '"<a>1</a>"', 'xml'],
  ['oid', "'42'", '"42"', 'oid'],
  ['regtype', "'int4'", '"integer"', 'regtype'],
];

test('every built-in type', async (t) => {
  const columns = kValues.map(([type], i) => `c${i} ${type}`).join(', ');
  const source = await withTable(t, `id int primary key, ${columns}, empty text`);
  const client = await RawClient.open(t);
  await client.listen('realtime:types', [table(source)]);
  const literals = kValues.map(([type, literal]) => (literal.startsWith('array') ? literal : `${literal}::${type}`)).join(', ');
  await sql(`insert into ${source.quoted} values (1, ${literals}, null)`);
  const frame = await client.change();
  const values = rawValues(frame.text);
  for (const name of Object.keys(values)) values[name] = values[name].replaceAll(' ', '');
  kValues.forEach(([type, literal, expected, typname], i) => {
    // In char(n) blanks are the point; the helper drops them, so it is looked at apart.
    if (typname === 'bpchar') assert.equal(frame.payload.data.record[`c${i}`], JSON.parse(expected));
    else if (typname === 'json') assert.deepEqual(frame.payload.data.record[`c${i}`], JSON.parse(expected));
    else if (type === 'float8' && literal.includes('e')) assert.equal(Number(values[`c${i}`]), 1e300);
    else assert.equal(values[`c${i}`], expected, `${type} ${literal}`);
    assert.deepEqual(frame.payload.data.columns[i + 1], { name: `c${i}`, type: typname });
  });
  assert.equal(frame.payload.data.record.empty, null);
});

test('the text that keeps its blanks', async (t) => {
  const source = await withTable(t, 'id int primary key, i interval, a text[], v tsvector, m money, c char(3)[]');
  const client = await RawClient.open(t);
  await client.listen('realtime:blanks', [table(source)]);
  await sql(`insert into ${source.quoted} values (1, '1 day 2 hours', array['b c'], 'a:1 b:2', 12.34, '{a,bcd}')`);
  const { record } = (await client.change()).payload.data;
  const [{ money }] = await rows('select 12.34::money::text as money');
  assert.deepEqual(record, { id: 1, i: '1 day 02:00:00', a: ['b c'], v: "'a':1 'b':2", m: money, c: ['a  ', 'bcd'] });
});

test('session settings of writers do not show', async (t) => {
  const source = await withTable(t, 'id int primary key, at timestamptz, i interval, b bytea, d date, f float8');
  const client = await RawClient.open(t);
  await client.listen('realtime:settings', [table(source)]);
  const writer = await connect(t);
  await writer.query(`set timezone = 'Asia/Tokyo'; set intervalstyle = 'iso_8601'; set bytea_output = 'escape';
    set datestyle = 'German'; set extra_float_digits = -5`);
  await writer.query(`insert into ${source.quoted} values (1, '2021-01-02 03:04:05+00', '1 day', '\\xff', '2021-02-03', 0.1234567890123)`);
  assert.deepEqual((await client.change()).payload.data.record,
    { id: 1, at: '2021-01-02T03:04:05+00:00', i: '1 day', b: 'ff', d: '2021-02-03', f: 0.1234567890123 });
});

test('enums, composites, domains, and arrays of them', async (t) => {
  const mood = uniqueName('mood_');
  const pair = uniqueName('pair_');
  const positive = uniqueName('positive_');
  const blob = uniqueName('blob_');
  cleanup(t, () => sql(`drop type ${pair} cascade; drop type ${mood} cascade; drop domain ${positive} cascade; drop domain ${blob} cascade`));
  await sql(`create type ${mood} as enum ('sad', 'so so');
    create type ${pair} as (n int, "Some text" text, m ${mood}, list int[], at timestamptz);
    create domain ${positive} as int check (value > 0); create domain ${blob} as bytea`);
  const source = await withTable(t, `id int primary key, e ${mood}, es ${mood}[], p ${pair}, ps ${pair}[], d ${positive}, b ${blob}`);
  const client = await RawClient.open(t);
  await client.listen('realtime:custom', [table(source)]);
  await sql(`insert into ${source.quoted} values (1, 'so so', '{sad,"so so"}', row(7, 'a "q", (x)', 'sad', '{1,null}', '2021-01-02 03:04:05+00'),
    array[row(null, '', null, null, null)::${pair}, null], 5, '\\xbeef')`);
  const { data } = (await client.change()).payload;
  assert.deepEqual(data.record, {
    id: 1, e: 'so so', es: ['sad', 'so so'],
    p: { n: 7, 'Some text': 'a "q", (x)', m: 'sad', list: [1, null], at: '2021-01-02T03:04:05+00:00' },
    ps: [{ n: null, 'Some text': '', m: null, list: null, at: null }, null], d: 5, b: '\\xbeef',
  });
  assert.deepEqual(data.columns.map(({ type }) => type), ['int4', mood, `_${mood}`, pair, `_${pair}`, positive, blob]);
});

test('a type with its own cast to json (hstore)', async (t) => {
  const [{ available }] = await rows("select count(*)::int as available from pg_available_extensions where name = 'hstore'");
  if (!available) {
    t.skip('hstore is not installed with this PostgreSQL');
    return;
  }
  await sql('create extension if not exists hstore');
  const source = await withTable(t, 'id int primary key, h hstore');
  const recording = await subscribe(await makeClient(t), table(source));
  await sql(`insert into ${source.quoted} values (1, 'a=>1, b=>NULL')`);
  await recording.count(1);
  assert.deepEqual(recording.events[0].new.h, { a: '1', b: null });
});
