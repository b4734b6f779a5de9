'use strict';
// A policy's function that changes a setting influences no later check: not of its own user, not of another, not of another
// table, neither in the same transaction nor in the next.
const test = require('node:test');
const assert = require('node:assert/strict');
const { withTable, withSchema, sql, transaction } = require('./lib/sql');
const { makeClient, subscribe, table } = require('./lib/clients');
const { userToken } = require('./lib/token');

const kAnn = '99999999-9999-4999-8999-999999999991';
const kBob = '99999999-9999-4999-8999-999999999992';
const kPolicyError = ['Error 500: Internal Server Error, RLS policy evaluation failed'];

const set = (name, value, local) => `perform set_config('${name}', '${value}', ${local})`;
const kClaims = `{"sub": "${kBob}", "role": "service_role"}`;
const kChanges = {
  'request.jwt.claims, for the session': set('request.jwt.claims', kClaims, false),
  'request.jwt.claims, for the transaction': set('request.jwt.claims', kClaims, true),
  'request.jwt.claim.sub': set('request.jwt.claim.sub', kBob, false),
  'request.headers': set('request.headers', '{"x-forged": "1"}', false),
  'realtime.topic': set('realtime.topic', 'forged', false),
  'search_path, for the session': set('search_path', 'SCHEMA', false),
  'search_path, for the transaction': set('search_path', 'SCHEMA', true),
  'search_path by SET': "execute 'set search_path = SCHEMA'",
  'row_security': set('row_security', 'off', false),
  'a setting of its own': set('app.tenant', 'forged', false),
  'statement_timeout': set('statement_timeout', '7min', false),
  'lock_timeout': set('lock_timeout', '7min', false),
  'the time zone': set('timezone', 'Asia/Tokyo', true),
  'everything by RESET ALL': "execute 'reset all'",
};
const kRoleChanges = {
  'set_config': set('role', 'service_role', false),
  'set_config, for the transaction': set('role', 'service_role', true),
  'SET ROLE': "execute 'set role service_role'",
  'SET LOCAL ROLE': "execute 'set local role service_role'",
  'RESET ROLE': "execute 'reset role'",
  'SET SESSION AUTHORIZATION': "execute 'set session authorization service_role'",
};

// A row is visible to its user if a check finds everything as it was set for it, names without a schema included. A setting
// that somebody has made is empty afterwards rather than absent, as in any session.
const kUndisturbed = `
  create function SCHEMA.undisturbed(owner uuid) returns boolean language plpgsql as $f$
  begin
    return current_user = 'authenticated' and current_setting('role') = 'authenticated' and current_setting('is_superuser') = 'off'
      and current_setting('search_path') = '"$user", public' and to_regclass('attacked') is null
      and current_setting('row_security') = 'on' and current_setting('statement_timeout') = '0'
      and current_setting('lock_timeout') <> '7min' and current_setting('timezone') <> 'Asia/Tokyo'
      and coalesce(current_setting('app.tenant', true), '') = '' and current_setting('realtime.topic', true) = ''
      and current_setting('request.headers', true)::json ->> 'x-forged' is null
      and current_setting('request.jwt.claim.sub', true) = owner::text
      and current_setting('request.jwt.claim.role', true) = 'authenticated'
      and current_setting('request.jwt.claims')::json ->> 'sub' = owner::text
      and current_setting('request.jwt.claims')::json ->> 'role' = 'authenticated';
  end $f$`;
// Three kinds of checks: code of the user's, an expression, a query. None of them may be looked up by the user's id, or
// only whoever has the row were asked.
const kOwn = "user_id is not distinct from auth.uid() and user_id::text is not distinct from current_setting('request.jwt.claims')::jsonb ->> 'sub'";
const kWitnesses = {
  code: `user_id is not distinct from auth.uid() and SCHEMA.undisturbed(user_id)`,
  expression: kOwn,
  query: `exists (select from (select 1 offset 0) x where ${kOwn})`,
};
const withPolicy = (t, schema, name, policy) => withTable(t, 'id int primary key, user_id uuid', {
  schema, name, rls: [`for select to authenticated using (${policy.replaceAll('SCHEMA', schema)})`],
});

// Ann listens to everything and Bob to the witnesses alone: she is judged first, and after a row of `attacked` she is the
// one for whom code has just run. A row that is shown is made JSON under other rights, which would undo what was changed.
async function attack(t, functionBody) {
  const schema = await withSchema(t);
  await sql(`create function SCHEMA.attack(n int) returns boolean language plpgsql as $f$ ${functionBody} $f$; ${kUndisturbed}`.replaceAll('SCHEMA', schema));
  const attacked = await withPolicy(t, schema, 'attacked', 'SCHEMA.attack(id)');
  const witnesses = [];
  for (const [kind, policy] of Object.entries(kWitnesses)) witnesses.push(await withPolicy(t, schema, kind, policy));
  const listen = async (user, sources) => subscribe(await makeClient(t, { token: userToken(user) }), sources.map((source) => table(source)));
  const ann = await listen(kAnn, [...witnesses, attacked]);
  const bob = await listen(kBob, witnesses);
  const attempt = (id) => `insert into ${attacked.quoted} values (${id})`;
  const rowsOf = (source, id) => `insert into ${source.quoted} values (${id}, '${kAnn}'), (${id + 1}, '${kBob}')`;
  // Plans are made with the first rows, which leaves every scope. Then comes each kind of check right after an attempt.
  await transaction(witnesses.map((source) => rowsOf(source, 10)));
  await transaction([attempt(1), ...witnesses.flatMap((source, i) => [attempt(2 + i), rowsOf(source, 20)])]);
  await transaction(witnesses.flatMap((source, i) => [attempt(5 + i), rowsOf(source, 30)]));
  await transaction(witnesses.map((source) => rowsOf(source, 40)));
  for (const [i, recording] of [ann, bob].entries()) {
    await recording.event((event) => event.binding === 2 && event.new.id === 40 + i);
    for (const binding of witnesses.keys()) {
      const seen = recording.events.filter((event) => event.binding === binding);
      assert.deepEqual(seen.map((event) => [event.new.id, event.errors]), [10, 20, 30, 40].map((id) => [id + i, null]));
    }
  }
  return ann.events.filter((event) => event.binding === witnesses.length).map((event) => event.errors || event.new.id);
}

for (const [what, change] of Object.entries(kChanges)) {
  test(`a policy function that changes ${what} influences no later check`, async (t) => {
    assert.deepEqual(await attack(t, `begin ${change}; return false; end`), []);
  });
  test(`a policy function that changes ${what}, and fails, influences no later check`, async (t) => {
    assert.deepEqual(await attack(t, `begin ${change}; return 1 / (n - n) = 1; end`), Array(7).fill(kPolicyError));
  });
}

// The row is shown to whoever became somebody else.
for (const [how, change] of Object.entries(kRoleChanges)) {
  test(`a policy function that changes the role by ${how} fails, and influences no later check`, async (t) => {
    assert.deepEqual(await attack(t, `begin ${change}; return true; end`), Array(7).fill(kPolicyError));
  });
  test(`a policy function that changes the role by ${how}, whatever that raises, stays who it is`, async (t) => {
    const changed = "current_user <> 'authenticated' or current_setting('role') <> 'authenticated'";
    assert.deepEqual(await attack(t, `begin begin ${change}; exception when others then null; end; return ${changed}; end`), []);
  });
}
