'use strict';
// Checks of several users in one transaction: whatever code runs for one of them, it leaves nothing behind that the next
// check meets, and no check is answered from what another user was answered.
const test = require('node:test');
const assert = require('node:assert/strict');
const { withTable, withRole, withSchema, sql, transaction } = require('./lib/sql');
const { makeClient, subscribe, watch, table, newTopic } = require('./lib/clients');
const { withPolicies, mayRead } = require('./lib/policies');
const { userToken, makeToken } = require('./lib/token');

const kAnn = '77777777-7777-4777-8777-777777777771';
const kBob = '77777777-7777-4777-8777-777777777772';
const kEve = '77777777-7777-4777-8777-777777777773';
const kUsers = [kAnn, kBob, kEve];
// Nobody is found by it without being asked.
const kOwnRows = 'for select to authenticated using (user_id is not distinct from auth.uid())';
const kPolicyError = ['Error 500: Internal Server Error, RLS policy evaluation failed'];

// One channel per user, with the same tables.
async function listeners(t, ...sources) {
  const listen = async (user) => subscribe(await makeClient(t, { token: userToken(user) }), sources.map((source) => table(source)));
  return Promise.all(kUsers.map(listen));
}
const idsOf = (recording, binding) => recording.events.filter((event) => event.binding === binding).map((event) => event.new.id);

// Rows for each user, in one transaction with the statements before each of them; id is 10 * round + user.
const rounds = (witness, before, numbers = [1, 2]) => transaction(numbers.flatMap((round) => kUsers.flatMap((user, i) => [
  ...before(10 * round + i), `insert into ${witness.quoted} values (${10 * round + i}, '${user}')`])));
const finish = (witness) => rounds(witness, () => [], [9]);

const becomeBob = `set_config('request.jwt.claim.sub', '${kBob}', false)`;

// Where a type's own code may run: the row's values are made anew from the text of the stream.
const kTypes = {
  'an array of a domain': ['SCHEMA.odd[]', "array['x']::SCHEMA.odd[]"],
  'a row with a domain in it': ['SCHEMA.pair', "row(1, 'x')::SCHEMA.pair"],
  'an array of such rows': ['SCHEMA.pair[]', "array[row(1, 'x')]::SCHEMA.pair[]"],
};
for (const [what, [type, value]] of Object.entries(kTypes)) {
  for (const [how, body] of Object.entries({ 'calls a function': 'SCHEMA.is_odd(value)', 'calls set_config itself': `${becomeBob} is not null` })) {
    test(`the code of ${what}, whose check ${how}, changes no check: not its own policy's, not another's`, async (t) => {
      const schema = await withSchema(t);
      await sql(`create function SCHEMA.is_odd(value text) returns boolean language plpgsql as $f$ begin perform ${becomeBob}; return true; end $f$;
        create domain SCHEMA.odd as text check (${body});
        create type SCHEMA.pair as (n int, word SCHEMA.odd)`.replaceAll('SCHEMA', schema));
      const fill = (text) => text.replaceAll('SCHEMA', schema);
      const strange = await withTable(t, `id int primary key, user_id uuid, value ${fill(type)}`, {
        schema, rls: ['for select to authenticated using (value is not null and user_id = auth.uid())'],
      });
      const witness = await withTable(t, 'id int primary key, user_id uuid', { rls: [kOwnRows] });
      const all = await listeners(t, strange, witness);
      await finish(witness);
      // Rows of Bob's, each after one of Ann's, who is judged first of all, that would make her Bob.
      await transaction([1, 2, 3].flatMap((n) => [
        `insert into ${strange.quoted} values (${n}, '${kAnn}', ${fill(value)})`,
        `insert into ${witness.quoted} values (${10 + n}, '${kBob}')`]));
      await rounds(witness, () => [], [8]);
      for (const [i, recording] of all.entries()) {
        await recording.event((event) => event.binding === 1 && event.new.id === 80 + i);
        const expected = [i === 0 ? [1, 2, 3] : [], [90 + i, ...(i === 1 ? [11, 12, 13] : []), 80 + i]];
        assert.deepEqual([idsOf(recording, 0), idsOf(recording, 1)], expected);
      }
    });
  }
}

test('a cursor that a policy function leaves open is not in the way of another function', async (t) => {
  const schema = await withSchema(t);
  const source = (name, extra) => `create function ${schema}.${name}() returns boolean language plpgsql as $f$
    declare things cursor for select 1; n int; begin open things; fetch things into n; ${extra} return n = 1; end $f$`;
  await sql(`${source('untidy', '')}; ${source('tidy', 'close things;')}`);
  const untidy = await withTable(t, 'id int primary key', { schema, rls: [`for select to authenticated using (${schema}.untidy())`] });
  const witness = await withTable(t, 'id int primary key, user_id uuid', {
    schema, rls: [`for select to authenticated using (user_id = auth.uid() and ${schema}.tidy())`],
  });
  const all = await listeners(t, untidy, witness);
  await rounds(witness, (id) => [`insert into ${untidy.quoted} values (${id})`]);
  await finish(witness);
  for (const [i, recording] of all.entries()) {
    await recording.event((event) => event.binding === 1 && (event.new.id === 90 + i || event.errors));
    assert.deepEqual(recording.events.filter((event) => event.errors), []);
    assert.deepEqual(idsOf(recording, 1), [10 + i, 20 + i, 90 + i]);
    assert.deepEqual(idsOf(recording, 0), [10, 11, 12, 20, 21, 22]);
  }
});

// What makes whoever is asked Bob, by every way in which a policy can run somebody's code. `id` is the row's.
const kWays = {
  'in the policy itself': ['', `${becomeBob} is not null`],
  'in a sub-query': ['', `(select ${becomeBob}) is not null`],
  'in a function': [`create function SCHEMA.f(int) returns bool language plpgsql as $f$ begin perform ${becomeBob}; return true; end $f$`, 'SCHEMA.f(id)'],
  'in a function said to be STABLE': [`create function SCHEMA.f(int) returns bool stable language plpgsql as $f$ begin perform ${becomeBob}; return true; end $f$`, 'SCHEMA.f(id)'],
  'in a function said to be IMMUTABLE': [`create function SCHEMA.f(int) returns bool immutable language plpgsql as $f$ begin perform ${becomeBob}; return true; end $f$`, 'SCHEMA.f(id)'],
  'in a function that planning runs': [`create function SCHEMA.f(int) returns bool immutable language plpgsql as $f$ begin perform ${becomeBob}; return true; end $f$`, 'SCHEMA.f(5)'],
  'in a function that is inlined': [`create function SCHEMA.f(int) returns bool language sql as $f$ select ${becomeBob} is not null $f$`, 'SCHEMA.f(id)'],
  'in a function that only claims what an inlined one may': [`create function SCHEMA.f(int) returns bool stable language sql as $f$ select ${becomeBob} is not null $f$`, 'SCHEMA.f(id)'],
  'in a set of rows that is inlined': [`create function SCHEMA.f() returns setof text stable language sql as $f$ select ${becomeBob} $f$`, 'exists (select from SCHEMA.f())'],
  'in a SECURITY DEFINER function': [`create function SCHEMA.f(int) returns bool stable security definer language plpgsql as $f$ begin perform ${becomeBob}; return true; end $f$`, 'SCHEMA.f(id)'],
  'in a function with settings of its own': [`create function SCHEMA.f(int) returns bool stable set search_path = '' language plpgsql as $f$ begin perform ${becomeBob}; return true; end $f$`, 'SCHEMA.f(id)'],
  'in a function that catches an error': [`create function SCHEMA.f(int) returns bool stable language plpgsql as $f$ begin perform ${becomeBob}; begin perform 1 / 0; exception when others then null; end; return true; end $f$`, 'SCHEMA.f(id)'],
  'in an operator': [`create function SCHEMA.f(int, int) returns bool stable language plpgsql as $f$ begin perform ${becomeBob}; return true; end $f$;
    create operator SCHEMA.=== (leftarg = int, rightarg = int, function = SCHEMA.f)`, 'id operator(SCHEMA.===) id'],
  'in an operator over an array': [`create function SCHEMA.f(int, int) returns bool immutable language plpgsql as $f$ begin perform ${becomeBob}; return true; end $f$;
    create operator SCHEMA.=== (leftarg = int, rightarg = int, function = SCHEMA.f)`, 'id operator(SCHEMA.===) any (array[id, 1])'],
  'in a cast': [`create type SCHEMA.mood as enum ('ok');
    create function SCHEMA.f(SCHEMA.mood) returns int immutable language plpgsql as $f$ begin perform ${becomeBob}; return 1; end $f$;
    create cast (SCHEMA.mood as int) with function SCHEMA.f(SCHEMA.mood)`, "(case when id > 0 then 'ok' end)::SCHEMA.mood::int = 1"],
  'in a cast to json that a built-in function finds': [`create type SCHEMA.pair as (n int);
    create function SCHEMA.f(SCHEMA.pair) returns json stable language plpgsql as $f$ begin perform ${becomeBob}; return '1'; end $f$;
    create cast (SCHEMA.pair as json) with function SCHEMA.f(SCHEMA.pair)`, 'to_json(array[row(id)::SCHEMA.pair]) is not null and to_jsonb(row(id)::SCHEMA.pair) is not null'],
  'in a domain': [`create domain SCHEMA.odd as text check (${becomeBob} is not null)`, 'id::text::SCHEMA.odd is not null'],
  'in a domain that a built-in function fills': [`create domain SCHEMA.odd as text check (${becomeBob} is not null); create type SCHEMA.pair as (word SCHEMA.odd)`,
    "jsonb_populate_record(null::SCHEMA.pair, jsonb_build_object('word', id)) is not null"],
  'in a domain inside an array made from text': [`create domain SCHEMA.odd as text check (${becomeBob} is not null)`, "('{' || id::text || '}')::SCHEMA.odd[] is not null"],
  'in an aggregate': [`create aggregate SCHEMA.a(text, bool) (sfunc = set_config, stype = text, initcond = 'request.jwt.claim.sub')`,
    `(select SCHEMA.a('${kBob}', false) from generate_series(1, 1)) is not null`],
  'in the FILTER of an aggregate': ['', `(select count(*) filter (where ${becomeBob} is not null) from generate_series(1, id)) > 0`],
  'in a view': [`create view SCHEMA.v as select ${becomeBob} as x; grant select on SCHEMA.v to public`, 'exists (select from SCHEMA.v where x is not null)'],
  'in the policy of another table': [`create table SCHEMA.inner (x int); insert into SCHEMA.inner values (1); grant select on SCHEMA.inner to public;
    alter table SCHEMA.inner enable row level security; create policy p on SCHEMA.inner using (${becomeBob} is not null)`, 'exists (select from SCHEMA.inner)'],
  'in a query that is text': [`create function SCHEMA.f() returns text stable language sql as $f$ select ${becomeBob} $f$`, "query_to_xml('select SCHEMA.f()', true, true, '') is not null"],
  'in a view that becomes XML': [`create view SCHEMA.v as select ${becomeBob} as x; grant select on SCHEMA.v to public`, "table_to_xml('SCHEMA.v', true, true, '') is not null"],
  'in a cursor': [`create function SCHEMA.f() returns refcursor stable language plpgsql as $f$ declare c refcursor; begin open c for select ${becomeBob}; return c; end $f$`,
    "cursor_to_xml(SCHEMA.f(), 1, true, true, '') is not null"],
  'where the table itself is asked': ['', `(ctid is not null and ${becomeBob} is not null)`],
  'in an XML table': ['', `exists (select from xmltable('/a' passing xmlelement(name a) columns x text path '.' default ${becomeBob}) where ${becomeBob} is not null)`],
};
for (const [what, [setUp, attack]] of Object.entries(kWays)) {
  test(`a setting that is changed ${what} is not met by the next check of the same user`, async (t) => {
    const schema = await withSchema(t);
    const fill = (text) => text.replaceAll('SCHEMA', schema);
    if (setUp) await sql(fill(setUp));
    // Nothing is shown: to make a row JSON is to change the role.
    const attacked = await withTable(t, 'id int primary key, user_id uuid', {
      schema, rls: [`for select to authenticated using (case when ${fill(attack)} then id = 999 end)`],
    });
    const bare = await withTable(t, 'id int primary key, user_id uuid', { rls: [kOwnRows] });
    const nested = await withTable(t, 'id int primary key, user_id uuid', {
      rls: ['for select to authenticated using (exists (select from (select auth.uid() as me offset 0) x where me = user_id))'],
    });
    // She alone: for the next user the setting would be set anew, whatever had become of it.
    const ann = await subscribe(await makeClient(t, { token: userToken(kAnn) }), [attacked, bare, nested].map((source) => table(source)));
    const row = (source, id, user) => `insert into ${source.quoted} values (${id}, '${user}')`;
    const show = (id, user) => [bare, nested].flatMap((source) => [row(attacked, 2 * id + (source === bare ? 0 : 1), kAnn), row(source, id, user)]);
    // The first time plans are made, and everything in between is left behind.
    await transaction(show(1, kAnn));
    await transaction([...show(2, kBob), ...show(3, kAnn), ...show(4, kBob)]);
    await transaction([row(attacked, 999, kAnn), row(bare, 9, kAnn), row(nested, 9, kAnn)]);
    await ann.event((event) => event.binding === 2 && event.new.id === 9);
    assert.deepEqual([idsOf(ann, 1), idsOf(ann, 2)], [[1, 3, 9], [1, 3, 9]]);
    assert.deepEqual(ann.events.filter((event) => event.binding === 0).map((event) => [event.new.id, event.errors]), [[999, null]]);
  });
}

test('a limit that failing code has set for its locks does not stay', async (t) => {
  const schema = await withSchema(t);
  await sql(`create function ${schema}.limits() returns boolean language plpgsql as $f$
    begin perform set_config('lock_timeout', '0', false), 1 / 0; return true; end $f$`);
  const failing = await withTable(t, 'id int primary key', { schema, rls: [`for select to authenticated using (${schema}.limits())`] });
  const topic = newTopic('limits');
  await withPolicies(t, mayRead(topic, "current_setting('lock_timeout') = '0'"));
  const client = await makeClient(t, { token: userToken(kAnn) });
  const recording = await subscribe(client, table(failing));
  await sql(`insert into ${failing.quoted} values (1)`);
  await recording.count(1);
  assert.deepEqual(recording.events[0].errors, kPolicyError);
  await watch(client, [], { topic, config: { private: true } }).status('SUBSCRIBED');
});

test('roles that change their names between two rows are who they are now', async (t) => {
  const [red, blue] = [await withRole(t), await withRole(t)];
  const source = await withTable(t, 'id int primary key, colour text', {
    grant: `${red}, ${blue}`, rls: [`for select to ${red} using (colour = 'red')`, `for select to ${blue} using (colour = 'blue' and current_user is not null)`],
  });
  const listen = async (role) => subscribe(await makeClient(t, { token: makeToken({ role, sub: kAnn, exp: 4000000000 }) }), table(source));
  const [one, other] = [await listen(red), await listen(blue)];
  const pair = (id) => `insert into ${source.quoted} values (${id}, 'red'), (${id + 1}, 'blue')`;
  const rename = (from, to) => `alter role ${from} rename to ${to}`;
  await sql(pair(10));
  await one.count(1);
  await other.count(1);
  await sql(`${rename(red, `${red}_x`)}; ${rename(blue, red)}; ${rename(`${red}_x`, blue)}`);
  await sql(pair(20));
  await one.event((event) => event.new.id === 21);
  await other.event((event) => event.new.id === 20);
  // The same within one transaction: its rows are judged when it has ended.
  await transaction([pair(30), rename(red, `${red}_x`), rename(blue, red), rename(`${red}_x`, blue), pair(40)]);
  await one.event((event) => event.new.id === 40);
  await other.event((event) => event.new.id === 41);
  assert.deepEqual([one.values(), other.values()], [[10, 21, 30, 40], [11, 20, 31, 41]]);
});

test('a policy that changes between two rows, and a membership, hold as they are when the transaction has ended', async (t) => {
  const [club, member] = [await withRole(t), await withRole(t)];
  const source = await withTable(t, 'id int primary key', { grant: `${club}, ${member}`, rls: [`for select to ${club} using (id < 30)`] });
  const listener = async (role) => subscribe(await makeClient(t, { token: makeToken({ role, sub: kAnn, exp: 4000000000 }) }), table(source));
  const [recording, witness] = [await listener(member), await listener(club)];
  const row = (id) => `insert into ${source.quoted} values (${id})`;
  // A row is judged by what holds when the stream gets there, which may be a while later.
  const judged = (id) => witness.event((event) => event.new.id === id);
  await transaction([row(10), `grant ${club} to ${member}`, row(11)]);
  await judged(11);
  await transaction([row(20), `revoke ${club} from ${member}`, row(21)]);
  await judged(21);
  await transaction([`grant ${club} to ${member}`, row(22), `alter policy p0 on ${source.quoted} using (id > 30)`, row(31)]);
  await sql(row(32));
  await recording.event((event) => event.new.id === 32);
  assert.deepEqual(recording.values(), [10, 11, 31, 32]);
  await judged(32);
  assert.deepEqual(witness.values(), [10, 11, 20, 21, 31, 32]);
});

// What the executor keeps for the length of a query is one user's.
const kKept = {
  'an init plan': '(select max(m.team) from MEMBERS m where m.user_id = auth.uid()) = team',
  'a hashed sub-plan': 'team in (select m.team from MEMBERS m where m.user_id = auth.uid())',
  'a negated hashed sub-plan': 'not (team not in (select m.team from MEMBERS m where m.user_id = (select auth.uid())))',
  'an array of a sub-query': 'team = any (array(select m.team from MEMBERS m where m.user_id = auth.uid()))',
  'a common table expression': 'team = (with mine as materialized (select m.team from MEMBERS m where m.user_id = auth.uid()) select max(team) from mine)',
  'a comparison with the row': 'exists (select from MEMBERS m where m.team = MEMBERS_ROW.team and m.user_id = auth.uid())',
};
for (const [what, policy] of Object.entries(kKept)) {
  test(`${what} is not taken from one user for the next`, async (t) => {
    const members = await withTable(t, 'user_id uuid, team int', { publish: false });
    await sql(`insert into ${members.quoted} values ${kUsers.map((user, i) => `('${user}', ${i})`)}`);
    const source = await withTable(t, 'id int primary key, team int');
    await sql(`alter table ${source.quoted} enable row level security; create policy p on ${source.quoted} for select to authenticated
      using (${policy.replaceAll('MEMBERS_ROW', source.name).replaceAll('MEMBERS', members.quoted)})`);
    const all = await listeners(t, source);
    const rows = Array.from({ length: 12 }, (_, n) => `(${n}, ${[0, 1, 2, 0, 2, 1][n % 6]})`);
    await sql(`insert into ${source.quoted} values ${rows}`);
    await sql(`insert into ${source.quoted} values (100, 0), (101, 1), (102, 2)`);
    for (const [i, recording] of all.entries()) {
      await recording.event((event) => event.new.id === 100 + i);
      assert.deepEqual(recording.values(), [[0, 3, 6, 9, 100], [1, 5, 7, 11, 101], [2, 4, 8, 10, 102]][i]);
    }
  });
}
