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
const kEve = '99999999-9999-4999-8999-999999999993';

const set = (name, value, local) => `perform set_config('${name}', '${value}', ${local})`;
const kClaims = `{"sub": "${kBob}", "role": "service_role"}`;
const kAttacks = {
  'request.jwt.claims, for the session': set('request.jwt.claims', kClaims, false),
  'request.jwt.claims, for the transaction': set('request.jwt.claims', kClaims, true),
  'request.jwt.claim.sub': set('request.jwt.claim.sub', kBob, false),
  'search_path, for the session': set('search_path', 'SCHEMA', false),
  'search_path, for the transaction': set('search_path', 'SCHEMA', true),
  'search_path by SET': "execute 'set search_path = SCHEMA'",
  'role by set_config': set('role', 'service_role', false),
  'role by SET ROLE': "execute 'set role service_role'",
  'role by SET LOCAL ROLE': "execute 'set local role service_role'",
  'role by RESET ROLE': "execute 'reset role'",
  'row_security': set('row_security', 'off', false),
  'everything by RESET ALL': "execute 'reset all'",
};

// `caught`: whatever the attempt raises stays inside the function. A row that is shown is made JSON under other rights, which
// might undo what was changed: so only the first one is.
async function attackedTable(t, schema, attempt, caught) {
  const statement = attempt.replaceAll('SCHEMA', schema);
  const body = caught ? `begin begin ${statement}; exception when others then null; end; return n = 1; end`
    : `begin ${statement}; return n = 1; end`;
  await sql(`create function ${schema}.attack(n int) returns boolean language plpgsql as $f$ ${body} $f$`);
  return withTable(t, 'id int primary key', { schema, name: 'attacked', rls: [`for select to authenticated using (${schema}.attack(id))`] });
}

// A row is visible to its user if a check finds everything as it was set for it, names without a schema included.
async function witnessTable(t, schema) {
  await sql(`create function ${schema}.undisturbed(owner uuid) returns boolean language plpgsql as $f$
    begin
      return current_user = 'authenticated' and current_setting('role') = 'authenticated'
        and current_setting('search_path') = '"$user", public' and to_regclass('attacked') is null
        and current_setting('row_security') = 'on' and current_setting('is_superuser') = 'off'
        and current_setting('request.jwt.claim.sub', true) is not distinct from owner::text
        and current_setting('request.jwt.claims')::json ->> 'sub' = owner::text
        and current_setting('request.jwt.claims')::json ->> 'role' = 'authenticated';
    end $f$`);
  return withTable(t, 'id int primary key, user_id uuid', {
    schema, name: 'witness', rls: [`for select to authenticated using (user_id = auth.uid() and ${schema}.undisturbed(user_id))`],
  });
}

for (const caught of [true, false]) {
  for (const [what, attempt] of Object.entries(kAttacks)) {
    test(`a policy function that changes ${what}${caught ? '' : ' and lets its error through'} influences no later check`, async (t) => {
      const schema = await withSchema(t);
      const attacked = await attackedTable(t, schema, attempt, caught);
      const witness = await witnessTable(t, schema);
      const plain = await withTable(t, 'id int primary key, user_id uuid', {
        schema, name: 'plain', rls: ['for select to authenticated using (user_id = auth.uid())'],
      });
      const listen = async (sub) =>
        subscribe(await makeClient(t, { token: userToken(sub) }), [table(attacked), table(witness), table(plain)]);
      const clients = { [kAnn]: await listen(kAnn), [kBob]: await listen(kBob), [kEve]: await listen(kEve) };
      const users = Object.keys(clients);
      const rowsOf = (id) => users.map((user, i) => `(${id + i}, '${user}')`).join(', ');
      await sql(`insert into ${attacked.quoted} values (1)`);
      await sql(`insert into ${witness.quoted} values ${rowsOf(10)}; insert into ${plain.quoted} values ${rowsOf(10)}`);
      // In one transaction every user is once the next to be checked, whoever was the last before.
      await transaction(users.flatMap((user, i) => [
        `insert into ${attacked.quoted} values (${2 + 2 * i})`,
        `insert into ${witness.quoted} values (${20 + i}, '${user}')`,
        `insert into ${attacked.quoted} values (${3 + 2 * i})`,
        `insert into ${plain.quoted} values (${20 + i}, '${user}')`,
      ]));
      await sql(`insert into ${witness.quoted} values ${rowsOf(30)}`);
      await sql(`insert into ${plain.quoted} values ${rowsOf(30)}`);
      for (const [i, user] of users.entries()) {
        const { events } = clients[user];
        await clients[user].event((event) => event.binding === 2 && event.new.id === 30 + i);
        assert.ok(events.some((event) => event.binding === 0), 'the attacked table\'s row, or an error instead');
        for (const binding of [1, 2]) {
          const seen = events.filter((event) => event.binding === binding);
          assert.deepEqual(seen.map((event) => [event.new.id, event.errors]), [10, 20, 30].map((id) => [id + i, null]));
        }
      }
    });
  }
}
