'use strict';
// Policies that fail, dawdle or attack. Whatever a table owner writes, it gains nothing and disturbs only its own audience.
const test = require('node:test');
const assert = require('node:assert/strict');
const { withTable, withRole, withSchema, publish, sql, connect, rows } = require('./lib/sql');
const { makeClient, subscribe, table, newTopic } = require('./lib/clients');
const { RawClient } = require('./lib/raw');
const { userToken } = require('./lib/token');
const { waitFor } = require('./lib/wait');

const kAnn = '44444444-4444-4444-8444-444444444444';
const kBob = '55555555-5555-4555-8555-555555555555';
const kPolicyError = ['Error 500: Internal Server Error, RLS policy evaluation failed'];

test('a policy that raises for one user concerns that user alone', async (t) => {
  const source = await withTable(t, 'id int primary key, n int', {
    rls: ["for select to authenticated using (n = (auth.jwt() ->> 'level')::int)"],
  });
  const odd = await subscribe(await makeClient(t, { token: userToken(kBob, { level: 'high' }) }), table(source));
  const fine = await subscribe(await makeClient(t, { token: userToken(kAnn, { level: '1' }) }), table(source));
  await sql(`insert into ${source.quoted} values (1, 1)`);
  await sql(`insert into ${source.quoted} values (2, 2)`);
  await sql(`insert into ${source.quoted} values (3, 1)`);
  await fine.count(2);
  await odd.count(3);
  assert.deepEqual(fine.values(), [1, 3]);
  assert.deepEqual(odd.events.map((event) => [event.errors, event.new]), [1, 2, 3].map(() => [kPolicyError, {}]));
  assert.deepEqual(odd.statuses, ['SUBSCRIBED']);
});

test('a policy that sleeps is cut off, and heartbeats go on meanwhile', async (t) => {
  const source = await withTable(t, 'id int primary key', {
    rls: ["for select to authenticated using (case when auth.jwt() ->> 'slow' = 'yes' then pg_sleep(60) is not null else true end)"],
  });
  const slow = await subscribe(await makeClient(t, { token: userToken(kBob, { slow: 'yes' }) }), table(source));
  const fast = await subscribe(await makeClient(t, { token: userToken(kAnn, { slow: 'no' }) }), table(source));
  const raw = await RawClient.open(t);
  await sql(`insert into ${source.quoted} values (1)`);
  const asked = Date.now();
  await raw.heartbeat();
  assert.ok(Date.now() - asked < 900, 'a heartbeat must not wait for the policy');
  await fast.count(1);
  await slow.count(1);
  assert.deepEqual(slow.events[0].errors, kPolicyError);
});

test('a policy that catches its cancellation is cut off all the same', async (t) => {
  const schema = await withSchema(t);
  await sql(`create function ${schema}.stubborn() returns boolean language plpgsql as $$
    begin
      for i in 1..20 loop
        begin perform pg_sleep(60); exception when query_canceled then null; end;
      end loop;
      return true;
    end $$`);
  const source = await withTable(t, 'id int primary key', { schema, rls: [`for select to authenticated using (${schema}.stubborn())`] });
  const other = await withTable(t, 'id int primary key');
  const stubborn = await subscribe(await makeClient(t, { token: userToken(kAnn) }), table(source));
  const witness = await subscribe(await makeClient(t), table(other));
  await sql(`insert into ${source.quoted} values (1)`);
  await sql(`insert into ${other.quoted} values (1)`);
  await witness.count(1);
  await stubborn.count(1);
  assert.deepEqual(stubborn.events[0].errors, kPolicyError);
});

// What a function of a hostile owner tries. Each attempt is caught; the row becomes visible when any of them worked.
const kAttempts = {
  'RESET ROLE': "execute 'reset role'",
  'SET ROLE': "execute 'set role postgres'",
  'RESET SESSION AUTHORIZATION': "execute 'reset session authorization'",
  'SET SESSION AUTHORIZATION': "execute 'set session authorization postgres'",
  'RESET ALL': "execute 'reset all'",
  'DISCARD ALL': "execute 'discard all'",
  "set_config('role')": "perform set_config('role', 'postgres', false)",
  "set_config('role', 'none')": "perform set_config('role', 'none', true)",
  "set_config('session_authorization')": "perform set_config('session_authorization', 'postgres', false)",
};
const kBodies = { 'as the subscriber': '', 'SECURITY DEFINER': 'security definer' };

// A table in a schema of a role without any rights, with one policy that calls `function_body`.
async function hostileTable(t, columns, functionBody, security, { function_arguments = '', call = '' } = {}) {
  const owner = await withRole(t);
  const schema = await withSchema(t);
  await sql(`grant create, usage on schema ${schema} to ${owner}; grant usage on schema auth to ${owner}`);
  const attacker = await connect(t);
  await attacker.query(`set session authorization ${owner}`);
  await attacker.query(`create table ${schema}.victims (${columns}); grant select on ${schema}.victims to authenticated`);
  await attacker.query(`create function ${schema}.attack(${function_arguments}) returns boolean language plpgsql ${security} as $f$ ${functionBody} $f$`);
  await attacker.query(`alter table ${schema}.victims enable row level security`);
  await attacker.query(`create policy p on ${schema}.victims for select to authenticated using (id = 2 or ${schema}.attack(${call}))`);
  const source = { schema, name: 'victims', quoted: `${schema}.victims` };
  await publish(source.quoted);
  return { source, owner, attacker };
}

for (const [how, security] of Object.entries(kBodies)) {
  for (const [what, attempt] of Object.entries(kAttempts)) {
    test(`a policy function gains nothing by ${what}, ${how}`, async (t) => {
      const body = `begin
        begin ${attempt}; exception when others then null; end;
        return current_setting('is_superuser') = 'on'
          or (select rolsuper from pg_roles where rolname = current_user)
          or has_table_privilege(current_user, 'pg_catalog.pg_authid', 'select');
      end`;
      const { source } = await hostileTable(t, 'id int primary key', body, security);
      const recording = await subscribe(await makeClient(t, { token: userToken(kAnn) }), table(source));
      await sql(`insert into ${source.quoted} values (1)`);
      await sql(`insert into ${source.quoted} values (2)`);
      await sql(`insert into ${source.quoted} values (1001)`);
      await recording.event((event) => event.new.id === 2, 'the row that is visible by itself');
      const gained = recording.events.filter((event) => event.new.id === 1);
      assert.deepEqual(gained, []);
      // The worker is unharmed: an ordinary table is served as before.
      const other = await withTable(t, 'id int primary key');
      const witness = await subscribe(await makeClient(t), table(other));
      await sql(`insert into ${other.quoted} values (1)`);
      await witness.count(1);
    });
  }
}

test('a policy function cannot write, lock for long, or leave settings behind', async (t) => {
  const body = `declare harm boolean := false;
    begin
      begin create table attack_table (x int); harm := true; exception when others then null; end;
      begin insert into pg_temp.attack values (1); harm := true; exception when others then null; end;
      begin perform set_config('request.jwt.claims', '{"sub": "${kBob}", "role": "authenticated"}', false); exception when others then null; end;
      begin perform set_config('search_path', 'pg_temp', false); exception when others then null; end;
      begin perform pg_terminate_backend(pg_backend_pid()); exception when others then null; end;
      begin perform pg_advisory_lock(987654321); exception when others then null; end;
      return harm;
    end`;
  const { source } = await hostileTable(t, 'id int primary key', body, '');
  const owned = await withTable(t, 'id int primary key, user_id uuid', {
    rls: ['for select to authenticated using (auth.uid() = user_id)'],
  });
  const recording = await subscribe(await makeClient(t, { token: userToken(kAnn) }), [table(source), table(owned)]);
  for (let i = 1; i <= 3; i += 1) {
    await sql(`insert into ${source.quoted} values (${i * 10})`);
    await sql(`insert into ${owned.quoted} values (${2 * i}, '${kBob}')`);
    await sql(`insert into ${owned.quoted} values (${2 * i + 1}, '${kAnn}')`);
  }
  await recording.event((event) => event.new.id === 7);
  assert.deepEqual(recording.events.filter((event) => event.binding === 1).map((event) => event.new.id), [3, 5, 7]);
  assert.deepEqual(recording.events.filter((event) => event.binding === 0 && event.new.id), []);
  const held = () => rows("select 1 from pg_locks where locktype = 'advisory' and objid = 987654321");
  await waitFor(async () => (await held()).length === 0, 'the advisory lock to be released');
});

test('a function that overwrites the claims does not decide the checks of others', async (t) => {
  const body = `begin
      perform set_config('request.jwt.claims', '{"sub": "${kBob}", "role": "authenticated"}', false);
      perform set_config('request.jwt.claim.sub', '${kBob}', false);
      return owner = auth.uid() and false;
    end`;
  const { source, attacker } = await hostileTable(t, 'id int primary key, user_id uuid', body, '',
    { function_arguments: 'owner uuid', call: 'user_id' });
  await attacker.query(`create policy q on ${source.quoted} for select to authenticated using (auth.uid() = user_id)`);
  const ann = await subscribe(await makeClient(t, { token: userToken(kAnn) }), table(source));
  const bob = await subscribe(await makeClient(t, { token: userToken(kBob) }), table(source));
  await sql(`insert into ${source.quoted} values (10, '${kBob}'), (11, '${kAnn}'), (12, '${kBob}'), (2, null)`);
  await ann.event((event) => event.new.id === 2);
  await bob.event((event) => event.new.id === 2);
  // Within one check the owner's own function may fool the owner's own policies; across checks it must not.
  assert.ok(bob.values().every((id) => [10, 12, 2].includes(id)), `bob saw ${bob.values()}`);
  const other = await withTable(t, 'id int primary key, user_id uuid', { rls: ['for select to authenticated using (auth.uid() = user_id)'] });
  const mine = await subscribe(await makeClient(t, { token: userToken(kAnn) }), table(other));
  await sql(`insert into ${source.quoted} values (20, '${kBob}')`);
  await sql(`insert into ${other.quoted} values (1, '${kBob}'), (2, '${kAnn}')`);
  await mine.event((event) => event.new.id === 2);
  assert.deepEqual(mine.values(), [2]);
});

test('a function that is inlined leaves no settings behind either', async (t) => {
  const schema = await withSchema(t);
  await sql(`create function ${schema}.mark() returns setof text language sql stable as
    $$ select set_config('test.mark', 'left behind', false) $$`);
  const source = await withTable(t, 'id int primary key', {
    schema,
    rls: [`for select to authenticated using
      (coalesce(current_setting('test.mark', true), '') = '' and exists (select 1 from ${schema}.mark() m where m <> ''))`],
  });
  const ann = await subscribe(await makeClient(t, { token: userToken(kAnn) }), table(source));
  await sql(`insert into ${source.quoted} select generate_series(1, 3)`);
  await ann.count(3);
  const bob = await subscribe(await makeClient(t, { token: userToken(kBob) }), table(source));
  await sql(`insert into ${source.quoted} select generate_series(4, 6)`);
  await ann.count(6);
  await bob.count(3);
  assert.deepEqual([ann.values(), bob.values()], [[1, 2, 3, 4, 5, 6], [4, 5, 6]]);
});

test("an owner's cast to json does not run with the worker's rights", async (t) => {
  const owner = await withRole(t);
  const schema = await withSchema(t);
  await sql(`grant create, usage on schema ${schema} to ${owner}`);
  const attacker = await connect(t);
  await attacker.query(`set session authorization ${owner}`);
  await attacker.query(`create type ${schema}.bait as (x int);
    create function ${schema}.hook(value ${schema}.bait) returns json language plpgsql as $$
    begin
      begin execute 'reset role'; exception when others then null; end;
      return json_build_object('superuser', current_setting('is_superuser'), 'user', current_user);
    end $$;
    create cast (${schema}.bait as json) with function ${schema}.hook(${schema}.bait);
    create table ${schema}.baits (id int primary key, b ${schema}.bait);
    grant select on ${schema}.baits to authenticated;
    grant usage on schema ${schema} to authenticated`);
  const source = { schema, name: 'baits', quoted: `${schema}.baits` };
  await publish(source.quoted);
  const recording = await subscribe(await makeClient(t, { token: userToken(kAnn) }), table(source));
  await sql(`insert into ${source.quoted} values (1, row(5))`);
  await recording.count(1);
  const { b } = recording.events[0].new;
  assert.notEqual(b?.superuser, 'on');
  if (b?.user) assert.ok([owner, 'authenticated'].includes(b.user), `ran as ${b.user}`);
});

test("an owner's generation expression does not run with the worker's rights", async (t) => {
  const owner = await withRole(t);
  const schema = await withSchema(t);
  await sql(`grant create, usage on schema ${schema} to ${owner}`);
  const attacker = await connect(t);
  await attacker.query(`set session authorization ${owner}`);
  await attacker.query(`create function ${schema}.spy(n int) returns text language plpgsql immutable as $$
    begin
      begin execute 'reset role'; exception when others then null; end;
      return current_setting('is_superuser');
    end $$;
    create table ${schema}.spied (id int primary key, g text generated always as (${schema}.spy(id)) stored);
    grant select on ${schema}.spied to authenticated`);
  const source = { schema, name: 'spied', quoted: `${schema}.spied` };
  await publish(source.quoted);
  const recording = await subscribe(await makeClient(t, { token: userToken(kAnn) }), table(source));
  await attacker.query(`insert into ${source.quoted} (id) values (1)`);
  await recording.count(1);
  assert.notEqual(recording.events[0].new.g, 'on');
});

test('a guard before a cast keeps protecting it', async (t) => {
  const source = await withTable(t, 'id int primary key, kind text, body text', {
    rls: ["for select to authenticated using (kind = 'number')",
      "as restrictive for select to authenticated using (case when kind = 'number' then body::int > 0 else false end)"],
  });
  const recording = await subscribe(await makeClient(t, { token: userToken(kAnn) }), table(source));
  await sql(`insert into ${source.quoted} values (1, 'text', 'no number'), (2, 'number', '5'), (3, 'number', '-5'), (4, 'number', '6')`);
  await recording.event((event) => event.new.id === 4);
  assert.deepEqual(recording.events.map((event) => [event.new.id, event.errors]), [[2, null], [4, null]]);
});

test('a lock on the table of one policy does not delay other tables', async (t) => {
  const members = await withTable(t, 'user_id uuid', { publish: false });
  await sql(`insert into ${members.quoted} values ('${kAnn}')`);
  const guarded = await withTable(t, 'id int primary key', {
    rls: [`for select to authenticated using (exists (select 1 from ${members.quoted} m where m.user_id = auth.uid()))`],
  });
  const free = await withTable(t, 'id int primary key');
  const client = await makeClient(t, { token: userToken(kAnn) });
  const waiting = await subscribe(client, table(guarded), { topic: newTopic('waiting') });
  const witness = await subscribe(client, table(free));
  const locker = await connect(t);
  await locker.query(`begin; lock table ${members.quoted} in access exclusive mode`);
  await sql(`insert into ${guarded.quoted} values (1)`);
  await sql(`insert into ${free.quoted} values (1)`);
  await witness.count(1, 10000);
  await locker.query('commit');
  await waiting.count(1);
  assert.equal(waiting.events.length, 1);
});
