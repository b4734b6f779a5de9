'use strict';
// Policies that ask another server, which takes the connection and is silent. Nothing interrupts libpq while it connects.
const net = require('node:net');
const test = require('node:test');
const assert = require('node:assert/strict');
const { withTable, sql, rows, uniqueName } = require('../lib/sql');
const { cleanup } = require('../lib/cleanup');
const { makeClient, subscribe, table, newTopic } = require('../lib/clients');
const { serving, waitForWorker } = require('../lib/server');
const { userToken } = require('../lib/token');
const { waitFor } = require('../lib/wait');

const kLimit = 5000;  // libpq's least is two seconds

async function startSilentServer() {
  const sockets = new Set();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.resume();  // else its end is not seen
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
  });
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  const stop = () => {
    server.close();
    for (const socket of sockets) socket.destroy();
  };
  return { port: server.address().port, sockets, stop };
}

const kWays = {
  async dblink(t, port) {
    const name = `public.${uniqueName('f_')}`;
    cleanup(t, () => sql(`drop function if exists ${name}() cascade; drop extension if exists dblink`));
    await sql('create extension dblink');
    await sql(`create function ${name}() returns boolean language sql stable security definer as
      $$ select i = 1 from dblink('host=127.0.0.1 port=${port} user=u password=p', 'select 1') as t (i int) $$`);
    return `${name}()`;
  },
  async postgres_fdw(t, port) {
    const name = uniqueName('s_');
    cleanup(t, () => sql('drop extension if exists postgres_fdw cascade'));
    await sql(`create extension postgres_fdw;
      create server ${name} foreign data wrapper postgres_fdw options (host '127.0.0.1', port '${port}');
      create user mapping for public server ${name} options (user 'u', password 'p');
      create foreign table public.${name} (id int) server ${name}; grant select on public.${name} to authenticated`);
    return `exists (select from public.${name} f where f.id = 1)`;
  },
};

for (const [way, makePolicy] of Object.entries(kWays)) {
  test(`${way} to a server that does not answer: others wait for a moment, and the worker can be ended`, async (t) => {
    const silent = await startSilentServer();
    const free = await withTable(t, 'id int primary key');
    const held = await withTable(t, 'id int primary key', { rls: [`for select to authenticated using (${await makePolicy(t, silent.port)})`] });
    cleanup(t, silent.stop);  // before what the worker may hold is dropped
    const witness = await subscribe(await makeClient(t), table(free), { topic: newTopic('witness') });
    const token = userToken('99999999-9999-4999-8999-999999999999');
    const recording = await subscribe(await makeClient(t, { token }), table(held), { topic: newTopic('held') });
    await sql(`insert into ${held.quoted} values (1)`);
    await sql(`insert into ${free.quoted} values (1)`);
    await witness.count(1, kLimit);
    await recording.count(1, kLimit);
    assert.equal(recording.events[0].errors.length, 1);
    await waitFor(() => silent.sockets.size === 0, 'the connection to be closed');
    await sql(`insert into ${held.quoted} values (2)`);
    await waitFor(() => silent.sockets.size > 0, 'the next attempt');
    const pid = await waitForWorker();
    await sql('select pg_terminate_backend($1)', [pid]);
    await waitFor(async () => (await rows('select from pg_stat_activity where pid = $1', [pid])).length === 0, 'the worker to end', kLimit);
    await serving();
  });
}
