'use strict';
// Every operator on a choice of types, negated too, against what PostgreSQL says of the same condition; what is refused, with
// the exact text; and filters that take long.
const test = require('node:test');
const assert = require('node:assert/strict');
const { withTable, withSchema, sql, rows } = require('./lib/sql');
const { makeClient, subscribe, watch, table, kVersions } = require('./lib/clients');
const { RawClient } = require('./lib/raw');
const { userToken } = require('./lib/token');

const kFilterError = ['Error 500: Internal Server Error, RLS policy evaluation failed'];
const kComparisons = { eq: '=', neq: '<>', lt: '<', lte: '<=', gt: '>', gte: '>=', isdistinct: 'is distinct from' };
const kPatterns = { like: 'like', ilike: 'ilike', match: '~', imatch: '~*' };
const kUuid = (n) => `00000000-0000-4000-8000-00000000000${n}`;

// Column, its type, three values; the first is what filters compare with.
const kColumns = [
  ['i', 'int', '2', '1', '-7'], ['big', 'bigint', '9007199254740993', '9007199254740992', '0'], ['n', 'numeric(10,2)', '1.50', '2', '-3'],
  ['f', 'float8', 'NaN', '1', '-Infinity'], ['b', 'boolean', 'true', 'false', 'true'], ['u', 'uuid', kUuid(2), kUuid(1), kUuid(3)],
  ['ts', 'timestamptz', '2024-06-01 12:00:00+02', '2024-06-01 10:00:01+00', 'infinity'], ['d', 'date', '2024-06-01', '2024-05-31', '-infinity'],
  ['iv', 'interval', '24:00:00', '1 day', '2 hours'], ['arr', 'int[]', '{1,2}', '{1,2,3}', '{}'], ['j', 'jsonb', '{"a": [1]}', '"x,y"', 'null'],
  ['ip', 'inet', '10.0.0.1', '10.0.0.0/8', '::1'], ['r', 'int4range', '[1,5)', '[2,3]', 'empty'], ['by', 'bytea', '\\xdead', '\\xde', '\\x'],
  ['bx', 'box', '(1,1),(0,0)', '(2,2),(0,0)', '(1,1),(0,0)'], ['t', 'text', 'apple', 'Apple', 'x_y,"z"'], ['vc', 'varchar(20)', 'b', 'B', 'a b'],
  ['c', 'char(5)', 'abc', 'ABC', 'a'], ['nm', 'name', 'abc', 'abd', 'ABC'],
];
const kTextual = ['t', 'vc', 'c', 'nm'];
const kTried = {
  like: ['%', 'a%', '%pp%', '_', 'x\\_y,%', 'ab%c', ''], ilike: ['A%', '%B%', 'apple'], match: ['^a', '(pp|b)', '^[a-z ]{1,3}$', '\\mab', ''],
  imatch: ['^A', 'P{2}', '^b$'],
};

const literal = (text) => `'${text.replaceAll("'", "''")}'`;
const quote = (text) => `"${text.replace(/[\\"]/g, '\\$&')}"`;
const both = (filter, condition, column) => [
  [`${column}=${filter}`, condition], [`${column}=not.${filter}`, `not (${condition})`],
];

const listOf = (values) => values.map((value) => (value === null ? 'null' : literal(value)));

// Pairs of a filter and the condition that says the same.
function filtersOf([column, type, ...values]) {
  const pairs = [];
  for (const [op, symbol] of Object.entries(kComparisons)) {
    if (type === 'box' && /^is|n/.test(op)) continue;  // SQL has no <> for boxes, nor IS DISTINCT FROM
    pairs.push(...both(`${op}.${quote(values[0])}`, `${column} ${symbol} ${literal(values[0])}`, column));
  }
  const lists = [[], [values[0]], [values[1], values[2]], [values[0], null]];
  for (const list of type === 'box' ? [] : lists) {
    // ANY knows the empty list, IN takes arrays one by one.
    const condition = list.length > 0 ? `${column} in (${listOf(list)})` : `${column} = any (array[]::${type.replace('[]', '')}[])`;
    if (type.endsWith('[]') && list.length === 0) continue;
    pairs.push(...both(`in.(${list.map((v) => (v === null ? 'NULL' : quote(v)))})`, condition, column));
  }
  for (const word of type === 'boolean' ? ['null', 'true', 'false', 'unknown'] : ['null']) {
    pairs.push(...both(`is.${word}`, `${column} is ${word}`, column));
  }
  for (const [op, symbol] of kTextual.includes(column) ? Object.entries(kPatterns) : []) {
    for (const pattern of kTried[op]) pairs.push(...both(`${op}.${quote(pattern)}`, `${column} ${symbol} ${literal(pattern)}`, column));
  }
  return pairs;
}

async function expectAsInSql(t, source, client, columns, fill) {
  const subscriptions = [];
  for (const pairs of columns) {
    const bindings = pairs.map(([filter]) => table(source, { event: 'INSERT', filter }));
    subscriptions.push({ pairs, recording: await subscribe(client, [...bindings, table(source, { event: 'DELETE' })]) });
  }
  await fill();
  const expected = new Map();
  for (const [filter, condition] of columns.flat()) {
    expected.set(filter, (await rows(`select id from ${source.quoted} where ${condition} order by id`)).map(({ id }) => id));
  }
  await sql(`delete from ${source.quoted} where id = 0`);
  for (const { pairs, recording } of subscriptions) {
    await recording.event((event) => event.eventType === 'DELETE', 'the end mark');
    pairs.forEach(([filter, condition], index) => {
      const got = recording.events.filter((event) => event.binding === index).map((event) => event.new.id);
      assert.deepEqual(got, expected.get(filter), `filter ${filter}, in SQL ${condition}`);
    });
  }
}

for (const vsn of kVersions) {
  test(`every operator on every type, negated too, vsn ${vsn}`, async (t) => {
    const source = await withTable(t, `id int primary key, ${kColumns.map(([name, type]) => `${name} ${type}`)}`);
    await expectAsInSql(t, source, await makeClient(t, { vsn }), kColumns.map(filtersOf), async () => {
      await sql(`insert into ${source.quoted} (id) values (0)`);  // all NULL
      for (const index of [2, 3, 4]) {
        await sql(`insert into ${source.quoted} values (${index}, ${kColumns.map((column) => literal(column[index]))})`);
      }
    });
  });
}

test('types of the user: enum, citext, domains, a row that is null by its fields', async (t) => {
  const schema = await withSchema(t);
  await sql(`create extension citext schema ${schema};
    create type ${schema}.mood as enum ('sad', 'ok', 'happy');
    create type ${schema}.pair as (a int, b text);
    create domain ${schema}.word as text check (value <> 'bad');
    create domain ${schema}.flag as boolean`);
  const source = await withTable(t, `id int primary key, m ${schema}.mood, ci ${schema}.citext, w ${schema}.word, fl ${schema}.flag,
    p ${schema}.pair`, { schema });
  const operator = (symbol) => `operator(${schema}.${symbol})`;
  const columns = [
    [...both('gt.sad', "m > 'sad'", 'm'), ...both('in.(sad,happy)', "m in ('sad', 'happy')", 'm'), ...both('isdistinct.ok', "m is distinct from 'ok'", 'm')],
    [...both('eq.ABC', `ci ${operator('=')} 'ABC'`, 'ci'), ...both('like.A%', `ci ${operator('~~')} 'A%'`, 'ci'),
      ...both('ilike.A%', `ci ${operator('~~*')} 'A%'`, 'ci'), ...both('match.^A', `ci ${operator('~')} '^A'`, 'ci'),
      ...both('imatch.B', `ci ${operator('~*')} 'B'`, 'ci')],
    [...both('like.a%', "w like 'a%'", 'w'), ...both('imatch.^A', "w ~* '^A'", 'w'), ...both('is.null', 'w is null', 'w')],
    [...both('is.true', 'fl is true', 'fl'), ...both('is.unknown', 'fl is unknown', 'fl')],
    [['p=is.null', 'p is null'], ['p=not.is.null', 'p is not null'], ...both('eq."(1,x)"', `p = '(1,x)'::${schema}.pair`, 'p')],
  ];
  await expectAsInSql(t, source, await makeClient(t), columns, () => sql(`insert into ${source.quoted} values
    (0, null, null, null, null, null), (1, 'sad', 'abc', 'abc', true, '(1,x)'), (2, 'ok', 'ABC', 'x', false, '(,)'), (3, 'happy', 'bcd', '', null, '(1,)')`));
});

test('several filters hold together, with quotes and negations', async (t) => {
  const source = await withTable(t, 'id int primary key, a text, b int');
  const pairs = [
    ['a=like."x,%",b=not.in.(2,3)', "a like 'x,%' and b not in (2, 3)"], ['a=not.is.null , b=isdistinct.2', 'a is not null and b is distinct from 2'],
    ['a=match."^x,.{1,2}$",b=not.is.null,id=not.eq.0', "a ~ '^x,.{1,2}$' and b is not null and id <> 0"],
    ['a=not.imatch.(X|Y),a=not.eq.""', "not a ~* '(X|Y)' and a <> ''"],
  ];
  await expectAsInSql(t, source, await makeClient(t), [pairs], () => sql(`insert into ${source.quoted} values
    (0, null, null), (1, 'x,y', 1), (2, 'x,y', 2), (3, 'x,', null), (4, '', 3), (5, 'q', 1), (6, 'x,abc', 4), (7, null, 1)`));
});

// ---- refused at subscribe

const kBroken = 'Unable to subscribe to changes with given parameters. An exception happened so please check your connect parameters: ';
const kRaised = 'ERROR P0001 (raise_exception) ';
const kNotText = (op, type) => `${kRaised}operator ${op} requires a text-compatible column type, got ${type}`;
const kKeyword = `${kRaised}invalid value for is filter: must be null, true, false, or unknown`;
const kRefused = [
  ...['like', 'ilike', 'match', 'imatch'].map((op) => [`id=${op}.1`, `{"id", "${op}", "1", false}`, kNotText(op, 'integer')]),
  ['u=not.like.1%', '{"u", "like", "1%", true}', kNotText('like', 'uuid')],
  ['ts=like.2024%', '{"ts", "like", "2024%", false}', kNotText('like', 'timestamp with time zone')],
  ['by=ilike.x', '{"by", "ilike", "x", false}', kNotText('ilike', 'bytea')],
  ['po=match.x', '{"po", "match", "x", false}', kNotText('match', 'polygon')],
  ['t=is.true', '{"t", "is", "true", false}', `${kRaised}is true filter requires a boolean column, got text`],
  ['id=not.is.unknown', '{"id", "is", "unknown", true}', `${kRaised}is unknown filter requires a boolean column, got integer`],
  ['t=is.NULL', '{"t", "is", "NULL", false}', kKeyword],
  ['b=is.', '{"b", "is", "", false}', kKeyword],
  ['t=match.(', '{"t", "match", "(", false}',
    `${kRaised}invalid regular expression for match filter: invalid regular expression: parentheses () not balanced`],
  ['t=not.imatch.[a', '{"t", "imatch", "[a", true}',
    `${kRaised}invalid regular expression for imatch filter: invalid regular expression: brackets [] not balanced`],
  ['t=match."((a{1,60}){1,60}){1,40}"', '{"t", "match", "((a{1,60}){1,60}){1,40}", false}',
    `${kRaised}invalid regular expression for match filter: invalid regular expression: regular expression is too complex`],
  ['t=like.a\\', '{"t", "like", "a\\\\", false}', 'ERROR 22025 (invalid_escape_sequence) LIKE pattern must not end with escape character'],
  ['nd=like.a%', '{"nd", "like", "a%", false}', 'ERROR 0A000 (feature_not_supported) nondeterministic collations are not supported for LIKE'],
  ['id=isdistinct.hey', '{"id", "isdistinct", "hey", false}', 'ERROR 22P02 (invalid_text_representation) invalid input syntax for type integer: "hey"'],
  ['id=not.eq.hey', '{"id", "eq", "hey", true}', 'ERROR 22P02 (invalid_text_representation) invalid input syntax for type integer: "hey"'],
  ['id=in.(1,x)', '{"id", "in", "{1,x}", false}', 'ERROR 22P02 (invalid_text_representation) invalid input syntax for type integer: "x"'],
  ['js=eq.{}', '{"js", "eq", "{}", false}', 'ERROR 42883 (undefined_function) operator does not exist: json = json'],
  ['no=is.null', '{"no", "is", "null", false}', `${kRaised}invalid column for filter no`],
  ['secret=match.(', '{"secret", "match", "(", false}', `${kRaised}invalid column for filter secret`],
];

async function systemError(t, client, binding) {
  const recording = watch(client, binding);
  await recording.status('SUBSCRIBED');
  return (await recording.system('error')).message;
}

test('filters that do not fit are refused, each with its text', async (t) => {
  const schema = await withSchema(t);
  await sql(`create collation ${schema}.loose (provider = icu, locale = 'und', deterministic = false)`);
  const source = await withTable(t, `id int primary key, u uuid, ts timestamptz, by bytea, po polygon, t text, b boolean, js json,
    secret text, nd text collate ${schema}.loose`, { schema });
  await sql(`revoke select on ${source.quoted} from anon; grant select (id, u, ts, by, po, t, b, js, nd) on ${source.quoted} to anon`);
  const client = await makeClient(t);
  for (const [filter, rendered, exception] of kRefused) {
    const params = `[event: *, schema: ${source.schema}, table: ${source.name}, filters: [${rendered}], select: nil]`;
    assert.equal(await systemError(t, client, table(source, { filter })), `${kBroken}${params}. Exception: ${exception}`, filter);
  }
});

const kUnparsed = [
  ['id=not.foo.hey', '["foo", "hey"]'], ['id=not.not.eq.1', '["not", "eq.1"]'], ['id=not.5', '["5"]'], ['id=LIKE.x', '["LIKE", "x"]'],
  ['id=not.in.1', '`in` filter value must be wrapped by parentheses'], [Array(101).fill('id=eq.1').join(), 'too many filters. Maximum 100'],
];
test('filters that cannot be parsed', async (t) => {
  const source = await withTable(t, 'id int primary key');
  const client = await makeClient(t);
  for (const [filter, detail] of kUnparsed) {
    assert.equal(await systemError(t, client, table(source, { filter })), `Error parsing \`filter\` params: ${detail}`);
  }
});

test('select: what is no list of readable columns is refused, the rest is not', async (t) => {
  const source = await withTable(t, 'id int primary key, a int, b int, secret int', { grant: 'service_role' });
  await sql(`grant select (id, a, b) on ${source.quoted} to anon`);
  const client = await makeClient(t);
  const refused = (extra) => systemError(t, client, table(source, extra));
  assert.equal(await refused({ select: 'a' }),
    'Error parsing `select` params: expected a list of column name strings, e.g. select: ["col1", "col2"]');
  assert.equal(await refused({ select: ['a'], table: '*' }),
    'Column selection is not supported for wildcard subscriptions. Provide an explicit schema and table name.');
  for (const name of ['secret', 'nothing']) {
    const params = `[event: *, schema: public, table: ${source.name}, filters: [], select: ["a", "${name}"]]`;
    assert.equal(await refused({ select: ['a', name] }), `${kBroken}${params}. Exception: ${kRaised}invalid column for select ${name}`);
  }
  const recording = await subscribe(client, [
    table(source, { select: ['a', 5, null], filter: 'b=is.null' }), table(source, { select: [] }),
  ]);
  await sql(`insert into ${source.quoted} values (1, 2, null, 4)`);
  await recording.count(2);
  assert.deepEqual(recording.events.map((event) => event.new), [{ id: 1, a: 2 }, { id: 1, a: 2, b: null }]);
});

// ---- filters that take long cost their own subscribers only

const kSlow = '^(a+)(a+)(a+)\\1\\1\\2\\2\\3\\3b$';
const kSlowText = `${'a'.repeat(1000)}b`;

test('a slow regular expression is cut off, costs only its own subscribers, and heartbeats go on', async (t) => {
  const source = await withTable(t, 'id int primary key, note text');
  const client = await makeClient(t);
  const slow = await subscribe(client, table(source, { filter: `note=match.${kSlow}` }));
  const plain = await subscribe(client, table(source, { filter: 'note=match.b$' }));
  const raw = await RawClient.open(t);
  await sql(`insert into ${source.quoted} values (1, '${kSlowText}')`);
  const asked = Date.now();
  await raw.heartbeat();
  assert.ok(Date.now() - asked < 900, 'a heartbeat must not wait for the expression');
  await sql(`insert into ${source.quoted} values (2, 'aaaaaaaaab')`);
  await plain.count(2);
  assert.deepEqual(plain.events.map((event) => [event.new.id, event.errors]), [[1, null], [2, null]]);
  await slow.count(2);
  assert.deepEqual(slow.events.map((event) => [event.new.id, event.errors]), [[undefined, kFilterError], [2, null]]);
});

test('many regular expressions that take long cost others little more than one', async (t) => {
  const source = await withTable(t, 'id int primary key, note text');
  const client = await makeClient(t);
  const slow = await subscribe(client, Array.from({ length: 30 }, (_, i) => table(source, { filter: `note=match.${kSlow}|x${i}` })));
  const all = await subscribe(client, table(source));
  const quick = await subscribe(client, table(source, { filter: 'note=match.b$' }));
  await sql(`insert into ${source.quoted} values (1, 'b')`);
  await quick.count(1);
  const asked = Date.now();
  await sql(`insert into ${source.quoted} values (2, '${kSlowText}')`);
  await all.count(2, 30000);
  assert.ok(Date.now() - asked < 15000, `one row took ${Date.now() - asked} ms; each expression alone takes a second`);
  await slow.count(30, 30000);
  const failed = slow.events.filter((event) => event.errors !== null);
  assert.equal(failed.length, 30, 'each is told that a row could not be judged');
  assert.deepEqual(all.values(), [1, 2]);
  // A little later new patterns are tried again.
  const fresh = await subscribe(client, table(source, { filter: 'note=match.^b' }));
  for (let id = 3; !fresh.events.some((event) => event.errors === null); ++id) {
    await sql(`insert into ${source.quoted} values (${id}, 'b')`);
    await all.count(id, 30000);
    assert.ok(Date.now() - asked < 60000, 'patterns are not tried again');
  }
});

test('LIKE, which nothing interrupts, is refused where it could take long', async (t) => {
  const source = await withTable(t, 'id int primary key, note text');
  const client = await makeClient(t);
  const long = await subscribe(client, table(source, { filter: `note=like.%${'a'.repeat(2000)}b%` }));
  const short = await subscribe(client, table(source, { filter: 'note=like.%aaab%' }));
  await sql(`insert into ${source.quoted} values (1, repeat('a', 400000)), (2, repeat('a', 2000) || 'b'), (3, repeat('a', 400000) || 'b')`);
  await short.count(2);
  assert.deepEqual(short.values(), [2, 3]);
  await long.count(3);
  assert.deepEqual(long.events.map((event) => [event.new.id, event.errors]), [[undefined, kFilterError], [2, null], [undefined, kFilterError]]);
});

test('what a filter costs, or that it fails, tells nothing about rows that the policies hide', async (t) => {
  const kAnn = '44444444-4444-4444-8444-444444444444';
  const source = await withTable(t, 'id int primary key, owner uuid, note text', {
    rls: ['for select to authenticated using (auth.uid() = owner)'], full: true,
  });
  const client = await makeClient(t, { token: userToken(kAnn) });
  const recording = await subscribe(client, table(source, { filter: `note=not.match.${kSlow}` }));
  await sql(`insert into ${source.quoted} values (1, '${kUuid(1)}', '${kSlowText}'), (2, '${kAnn}', 'x')`);
  await sql(`delete from ${source.quoted}`);
  await recording.count(2);
  assert.deepEqual(recording.events.map((event) => [event.eventType, event.errors]), [['INSERT', null], ['DELETE', null]]);
});
