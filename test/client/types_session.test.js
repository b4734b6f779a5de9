'use strict';
// Every kind of type against the server's own word: the value of an event is what to_jsonb says of the row in a session.
// The two exceptions are what Realtime clients know: a column of bytea comes without \x, and NaN in a column is null.
const test = require('node:test');
const assert = require('node:assert/strict');
const { withTable, withSchema, sql, rows, uniqueName } = require('./lib/sql');
const { table } = require('./lib/clients');
const { RawClient } = require('./lib/raw');
const { rawValues } = require('./lib/raw_values');

// `values` is a list of [type, SQL expression]. Each becomes a column; but for those with a third item that says no, an array
// of the value, NULL and the value again becomes another.
async function compare(t, schema, values) {
  const all = [...values];
  for (const [type, value, array = !type.endsWith(']')] of values) {
    if (array) all.push([`${type}[]`, `array[(${value})::${type}, null, (${value})::${type}]`]);
  }
  const columns = all.map(([type], i) => `c${i} ${type}`).join(', ');
  const source = await withTable(t, `id int primary key, ${columns}`, { schema, full: true });
  const client = await RawClient.open(t);
  await client.listen(`realtime:${uniqueName()}`, [table(source)]);
  await sql(`insert into ${source.quoted} values (1, ${all.map(([type, value]) => `(${value})::${type}`).join(', ')})`);
  const frame = await client.change();
  await sql(`update ${source.quoted} set id = 2`);
  const update = await client.change();
  const sent = rawValues(frame.text);
  assert.deepEqual(rawValues(update.text, 'old_record'), sent);
  const differences = [];
  for (const [i, [type, value]] of all.entries()) {
    const text = sent[`c${i}`];
    const [{ said, same }] = await rows(
      `select said, $1::jsonb::text = said as same from ${source.quoted}, coalesce(to_jsonb(c${i})::text, 'null') as said`, [text]);
    if (!same) differences.push(`${type} ${value}: sent ${text}, to_jsonb says ${said}`);
  }
  assert.deepEqual(differences, []);
  return { source, client, frame };
}

const plain = (list) => list.map((entry) => [entry[0], `'${entry[1]}'`]);

test('numbers, texts, times', async (t) => {
  await compare(t, 'public', [...plain([
    ['smallint', '-32768'], ['int', '2147483647'], ['bigint', '9007199254740993'], ['numeric', '123.4500'],
    ['numeric(6,2)', '1.5'], ['numeric(3,-2)', '12345'], ['numeric', '1e-20'], ['numeric', '1e100'], ['real', '1.25'], ['real', '1e-30'],
    ['float8', '0.1'], ['float8', '-0'], ['float8', '1e300'], ['float8', '1e-300'], ['bool', 't'], ['bool', 'f'], ['money', '-1234.5'],
    ['text', 'a"b\\c/é€😀'], ['text', ''], ['text', 'NULL'], ['text', '{}'], ['varchar(5)', 'abc'], ['name', 'n'],
    ['char(5)', 'abc'], ['char', 'x'], ['"char"', 'x'], ['"char"', ''], ['bit(4)', '1010'], ['bit', '1'], ['varbit', '101'],
    ['uuid', 'AAAAAAAA-bbbb-4ccc-8ddd-EEEEEEEEEEEE'],
    ['timestamp', '2021-01-02 03:04:05.120'], ['timestamp', '0044-03-15 12:00 BC'], ['timestamp', 'infinity'],
    ['timestamp(0)', '2021-01-02 03:04:05.9'], ['timestamptz', '2021-01-02 03:04:05.123456+02'], ['timestamptz', '-infinity'],
    ['timestamptz', '0044-03-15 12:00+00 BC'], ['timestamptz', '294276-12-31 23:59:59+00'],
    ['date', '2021-01-02'], ['date', '0044-03-15 BC'], ['date', 'infinity'], ['time', '03:04:05.5'], ['time', '24:00'],
    ['timetz', '03:04:05-05:30'], ['interval', '1 day 2 hours'], ['interval', '-1 year 2 mons -3 days 04:05:06.7'], ['interval day', '3 days'],
  ]), ['text', "E'tab\\tnew\\nline\\u0001\\u007f\\u2028'"], ['text[]', "array['a','b c','d\"e','f\\g','NULL',null,'','{x}','(y)',' ',',']"]]);
});

test('json, xml, text search', async (t) => {
  await compare(t, 'public', plain([
    ['json', '{"b":1,  "a":[1,null]}'], ['json', '{"a":1,"a":2}'], ['json', ' "x" '], ['json', 'null'], ['json', '1e2'],
    ['jsonb', '{"k":{"x":"\\u20ac\\n"}}'], ['jsonb', 'null'], ['jsonb', '"text"'], ['jsonb', '[]'],
    ['jsonpath', '$."a"[*] ? (@ > 1)'], ['xml', '<a b="1">x &amp; y</a>'], ['tsvector', 'a:1A "b c":2,3 d'], ['tsquery', 'a & !(b | c:*)'],
  ]));
});

test('network, geometric, range, multirange, system types', async (t) => {
  await compare(t, 'public', plain([
    ['inet', '10.0.0.1/8'], ['inet', '::1'], ['cidr', '10.0.0.0/8'], ['macaddr', '08:00:2b:01:02:03'], ['macaddr8', '08:00:2b:01:02:03:04:05'],
    ['point', '(1,2)'], ['line', '{1,-1,0}'], ['lseg', '[(0,0),(1,1)]'], ['box', '((0,0),(1,1.5))'], ['path', '((0,0),(1,1),(2,0))'],
    ['path', '[(0,0),(1,1)]'], ['polygon', '((0,0),(1,1),(2,0))'], ['circle', '<(1,2),3>'], ['point', '(NaN,Infinity)'],
    ['int4range', '[1,5)'], ['int4range', 'empty'], ['int8range', '(,5]'], ['numrange', '[1.50,)'], ['tsrange', '[2021-01-02 03:04:05,)'],
    ['tstzrange', '[2021-01-02 03:04:05+02,infinity]'], ['daterange', '[2021-01-02,2021-02-03]'],
    ['int4multirange', '{[1,5),[7,9)}'], ['nummultirange', '{}'], ['tstzmultirange', '{[2021-01-02 03:04:05+02,)}'], ['datemultirange', '{[2021-01-02,)}'],
    ['pg_lsn', '16/B374D848'], ['oid', '42'], ['oid', '4294967295'], ['regtype', 'int4'], ['regclass', 'pg_class'], ['regproc', 'now'],
    ['regprocedure', 'lower(text)'], ['regoperator', '+(int4,int4)'], ['regrole', 'anon'], ['regnamespace', 'public'], ['regconfig', 'english'],
    ['xid', '7'], ['xid8', '7'], ['cid', '7'], ['tid', '(1,2)'], ['pg_snapshot', '10:20:10,14,15'], ['txid_snapshot', '10:20:10,14,15'],
    ['refcursor', 'c'], ['int2vector', '1 2 3'], ['oidvector', '23 25'], ['int2vector', ''], ['aclitem', 'anon=r/anon'],
  ]));
});

test('arrays of every form', async (t) => {
  await compare(t, 'public', plain([
    ['int[]', '{}'], ['int[]', '{NULL}'], ['int[]', '{{1,2},{3,NULL}}'], ['int[]', '{{{1},{2}},{{3},{4}}}'], ['int[]', '[0:1]={1,2}'],
    ['int[]', '[-2:-1][5:6]={{1,2},{3,4}}'], ['int[3]', '{1}'], ['int[][]', '{1}'], ['text[]', '{{a,"b,{}"},{NULL,"NULL"}}'],
    ['box[]', '{(1,1),(0,0);(3,3),(2,2)}'], ['timestamptz[]', '{2021-01-02 03:04:05+00,NULL,infinity}'], ['jsonb[]', '{"{\\"a\\": [1]}",NULL,"null"}'],
    ['bytea[]', '{"\\\\xde",NULL,"\\\\x"}'], ['numeric[]', '{1.50,NaN,-Infinity}'], ['float4[]', '{NaN}'], ['float8[]', '{Infinity,0.1}'],
    ['numeric(4,1)[]', '{1.25}'], ['char(3)[]', '{a,bcd}'], ['bit(3)[]', '{101}'], ['daterange[]', '{"[2021-01-02,2021-01-05)",empty}'],
  ]));
});

test('enums, domains over everything, composites in everything', async (t) => {
  const s = await withSchema(t);
  await sql(`set local search_path = public;
    create type ${s}.mood as enum ('sad', 'so so', 'a"b\\c,}'); create type ${s}.empty as ();
    create domain ${s}.positive as int check (value > 0); create domain ${s}.positive2 as ${s}.positive;
    create domain ${s}.amount as numeric; create domain ${s}.blob as bytea; create domain ${s}.stamp as timestamptz not null default now();
    create domain ${s}.flag as bool; create domain ${s}.doc as jsonb; create domain ${s}.rawdoc as json; create domain ${s}.label as ${s}.mood;
    create domain ${s}.list as int[]; create domain ${s}.moods as ${s}.mood[]; create domain ${s}.code as char(4); create domain ${s}.bits as bit(3);
    create domain ${s}.span as tstzrange; create domain ${s}.spans as tstzmultirange; create domain ${s}.host as inet; create domain ${s}.kind as oid;
    create type ${s}.pair as (n int, "Some ""text" text, gone int, m ${s}.mood, list int[], at timestamptz, f float8, b bytea, j jsonb, c char(3), y bool);
    alter type ${s}.pair drop attribute gone;
    create type ${s}.outer as (p ${s}.pair, ps ${s}.pair[], d ${s}.positive, l ${s}.list, ls ${s}.list[], a ${s}.amount, b ${s}.blob, r int4range);
    create type ${s}.one as (x text); create domain ${s}.pair_d as ${s}.pair; create domain ${s}.pairs_d as ${s}.pair[];
    create type ${s}.floats as range (subtype = float8, multirange_type_name = ${s}.floats_multi); create type ${s}.labels as range (subtype = ${s}.mood);
    create table ${s}.rowtype (a int, b text default 'x')`);
  const pair = `row(7, 'a "q", (x)\\ ', 'sad', '{1,null}', '2021-01-02 03:04:05+00', 'NaN', '\\xbeef', '{"k": "v\\""}', 'ab', true)::${s}.pair`;
  const empty = `row(null, '', null, null, null, null, null, null, null, null)::${s}.pair`;
  await compare(t, s, [
    [`${s}.mood`, "'so so'"], [`${s}.mood`, "'a\"b\\c,}'"], [`${s}.empty`, 'row()'],
    [`${s}.positive`, '5'], [`${s}.positive2`, '6'], [`${s}.amount`, '1.50'], [`${s}.amount`, "'NaN'"], [`${s}.blob`, "'\\xbeef'"],
    [`${s}.stamp`, "'2021-01-02 03:04:05+02'", false], [`${s}.flag`, 'true'], [`${s}.doc`, `'{"a": 1}'`], [`${s}.rawdoc`, `'{"a":1}'`],
    [`${s}.label`, "'sad'"], [`${s}.code`, "'ab'"], [`${s}.bits`, "'101'"], [`${s}.span`, "'[2021-01-02 03:04:05+02,)'"],
    [`${s}.spans`, "'{[2021-01-02 03:04:05+02,)}'"], [`${s}.host`, "'10.0.0.1/8'"], [`${s}.kind`, '42'],
    [`${s}.list`, "'{1,null}'", false], [`${s}.list[]`, `'{"{1,2}",NULL,"[5:6]={3,4}"}'`],
    [`${s}.moods`, "'{sad,\"so so\"}'", false], [`${s}.pair`, pair], [`${s}.pair`, empty], [`${s}.pair_d`, pair],
    [`${s}.pairs_d`, `array[${pair}, null, ${empty}]`, false], [`${s}.one`, 'row(null)'], [`${s}.one`, "row('')"], [`${s}.one`, "row('(')"],
    [`${s}.outer`, `row(${pair}, array[${pair}, null], 3, '{1}', '{"{1,2}",NULL}', 'NaN', '\\xde', '[1,2]')`],
    [`${s}.floats`, "'[0.5,Infinity)'"], [`${s}.floats_multi`, "'{[0.5,1]}'"], [`${s}.labels`, "'[sad,\"so so\"]'"], [`${s}.rowtype`, "row(1, 'x')"],
    [`${s}.pair[]`, `array[[${pair}, null], [${empty}, ${pair}]]`],
  ]);
});

test('types of extensions', async (t) => {
  const values = {
    citext: [['citext', "'MiXed'"]], hstore: [['hstore', "'a=>1, b=>NULL, \"c d\"=>\"\\\"\"'"], ['hstore', "''"]], ltree: [['ltree', "'a.b.c'"], ['lquery', "'a.*'"]],
    cube: [['cube', "'(1,2),(3,4)'"]], isn: [['isbn', "'0-393-04002-X'"]], seg: [['seg', "'1.5 .. 2'"]],
  };
  const available = await rows('select name from pg_available_extensions where name = any($1)', [Object.keys(values)]);
  const found = available.map(({ name }) => name);
  if (found.length === 0) return t.skip('none of these extensions is installed with this PostgreSQL');
  const schema = await withSchema(t);
  for (const name of found) await sql(`create extension if not exists ${name}`);
  return compare(t, schema, found.flatMap((name) => values[name]));
});

test('types with casts to json of their own', async (t) => {
  const s = await withSchema(t);
  const type = `${s}.shout`;
  await sql(`create type ${s}.size as enum ('s', 'm'); create type ${s}.pair as (a int, b text); create type ${s}.years as range (subtype = int2);
    create type ${s}.named as enum ('x'); create domain ${s}.size_d as ${s}.size;
    create type ${type};
    create function ${s}.shout_in(cstring) returns ${type} language internal immutable strict as 'textin';
    create function ${s}.shout_out(${type}) returns cstring language internal immutable strict as 'textout';
    create type ${type} (input = ${s}.shout_in, output = ${s}.shout_out, like = text);
    create function ${s}.j(${type}) returns json language sql immutable as $$ select json_build_object('shout', upper(${s}.shout_out($1)::text)) $$;
    create function ${s}.j(${s}.size) returns json language sql immutable as $$ select json_build_object('size', $1::text) $$;
    create function ${s}.j(${s}.pair) returns json language sql immutable as $$ select '"not asked"'::json $$;
    create function ${s}.j(${s}.years) returns json language sql immutable as $$ select json_build_array(lower($1), upper($1)) $$;
    create function ${s}.jb(${s}.named) returns jsonb language sql immutable as $$ select '"not asked"'::jsonb $$;
    create cast (${type} as json) with function ${s}.j(${type}); create cast (${s}.size as json) with function ${s}.j(${s}.size);
    create cast (${s}.pair as json) with function ${s}.j(${s}.pair); create cast (${s}.years as json) with function ${s}.j(${s}.years);
    create cast (${s}.named as jsonb) with function ${s}.jb(${s}.named)`);
  await compare(t, s, [
    [type, "'hey \"you\"'"], [`${s}.size`, "'m'"], [`${s}.size_d`, "'s'"], [`${s}.pair`, "row(1, 'x')"], [`${s}.years`, "'[1,5)'"], [`${s}.named`, "'x'"],
  ]);
});

test('NULL in a column of every kind is null', async (t) => {
  const types = ['int', 'float8', 'bool', 'text', 'jsonb', 'bytea', 'timestamptz', 'int[]', 'int4range', 'point', 'int2vector'];
  const { frame } = await compare(t, 'public', types.map((type) => [type, 'null', false]));
  assert.deepEqual([...new Set(Object.values(frame.payload.data.record).slice(1))], [null]);
});
