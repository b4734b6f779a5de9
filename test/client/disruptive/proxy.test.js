'use strict';
// Behind a reverse proxy, as docs/security.md has it: TLS ends there, and the worker counts and names the clients, not the proxy.
const fs = require('node:fs');
const http = require('node:http');
const https = require('node:https');
const path = require('node:path');
const test = require('node:test');
const assert = require('node:assert/strict');
const { createClient } = require('@supabase/supabase-js');
const WebSocket = require('ws');
const { certify } = require('../lib/certificate');
const { Cluster } = require('../lib/cluster');
const { cleanup } = require('../lib/cleanup');
const { waitFor } = require('../lib/wait');

const kHeader = 'x-forwarded-for';

// Passes requests and upgrades on. What it says of the client's address is what the client asks it to say: tests come from one.
async function startProxy(t, cluster) {
  const pass = (request) => http.request({ host: '127.0.0.1', port: cluster.port, method: request.method, path: request.url,
    headers: { ...request.headers, [kHeader]: request.headers['x-test-address'] ?? '192.0.2.1' } });
  const file = (end) => fs.readFileSync(path.join(cluster.env.PGDATA, `server.${end}`));
  const server = https.createServer({ cert: file('crt'), key: file('key') }, (request, response) => {
    const onward = pass(request).on('response', (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    request.pipe(onward);
  });
  server.on('upgrade', (request, socket) => {
    const onward = pass(request);
    const headersOf = (answer) => answer.rawHeaders.reduce((text, word, i) => `${text}${word}${i % 2 ? '\r\n' : ': '}`, '');
    onward.on('upgrade', (answer, other) => {
      socket.write(`HTTP/1.1 101 Switching Protocols\r\n${headersOf(answer)}\r\n`);
      other.pipe(socket).pipe(other);
      for (const each of [socket, other]) each.on('error', () => {});
    });
    onward.on('response', (answer) => socket.end(`HTTP/1.1 ${answer.statusCode} No\r\ncontent-length: 0\r\n\r\n`));
    onward.end();
  });
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  cleanup(t, () => new Promise((resolve) => { server.close(resolve); server.closeAllConnections(); }));
  return `https://127.0.0.1:${server.address().port}`;
}

function connect(t, url, cluster, ca, address) {
  class Through extends WebSocket {
    constructor(to, protocols) { super(to, protocols, { ca, headers: { 'x-test-address': address } }); }
  }
  const client = createClient(url, cluster.env.ANON_KEY, { realtime: { transport: Through, reconnectAfterMs: () => 3600000 } });
  cleanup(t, () => client.realtime.disconnect());
  return client;
}

const status = (url, cluster, ca, address) => new Promise((resolve, reject) => {
  const socket = new WebSocket(`${url.replace('https', 'wss')}/realtime/v1/websocket?apikey=${cluster.env.ANON_KEY}&vsn=2.0.0`,
    { ca, headers: { 'x-test-address': address } });
  socket.on('open', () => { resolve(101); socket.terminate(); });
  socket.on('unexpected-response', (request, response) => { resolve(response.statusCode); request.destroy(); });
  socket.on('error', reject);
});

test('supabase-js through a reverse proxy: changes, messages, REST, and addresses of clients', async (t) => {
  const cluster = await Cluster.start(t, "realtime.trusted_proxies = '127.0.0.1, ::1'\nrealtime.max_connections_per_address = 1");
  const ca = certify(cluster, 'proxy');
  await cluster.serving();
  await cluster.sql("create table items (id int primary key); grant select on items to anon; select realtime.publish('items')");
  const url = await startProxy(t, cluster);
  const seen = [];
  const channel = connect(t, url, cluster, ca, '203.0.113.7').channel('items', { config: { broadcast: { self: true, ack: true } } })
    .on('postgres_changes', { event: '*', schema: 'public', table: 'items' }, (change) => seen.push(`row ${change.new.id}`))
    .on('broadcast', { event: '*' }, ({ payload }) => seen.push(`message ${payload.text.length}`))
    .on('system', {}, ({ message }) => seen.push(message));
  await new Promise((resolve, reject) => { channel.subscribe((state, error) => (state === 'SUBSCRIBED' ? resolve() : reject(error ?? state))); });
  await waitFor(() => seen.includes('Subscribed to PostgreSQL'), () => `the subscription; saw ${seen}`);
  await cluster.sql('insert into items values (1)');
  await waitFor(() => seen.includes('row 1'), 'the row');
  assert.equal(await channel.send({ type: 'broadcast', event: 'large', payload: { text: 'x'.repeat(2000000) } }), 'ok');
  await waitFor(() => seen.includes('message 2000000'), 'the message');
  const rest = await new Promise((resolve, reject) => {
    const request = https.request(`${url}/realtime/v1/api/broadcast/items/events/e`, { ca, method: 'POST',
      headers: { apikey: cluster.env.ANON_KEY, 'content-type': 'application/json' } }, (answer) => { answer.resume(); resolve(answer.statusCode); });
    request.on('error', reject);
    request.end('{"text": "four"}');
  });
  assert.equal(rest, 202);
  await waitFor(() => seen.includes('message 4'), 'the message from REST');
  const addresses = async () => (await cluster.sql('select address from realtime.stat_connections')).map((row) => row.address);
  assert.deepEqual(await addresses(), ['203.0.113.7']);

  assert.equal(await status(url, cluster, ca, '203.0.113.7'), 429, 'one connection of an address');
  assert.equal(await status(url, cluster, ca, '203.0.113.8'), 101, 'another client behind the same proxy');

  await cluster.set('realtime.max_connections_per_address', 0);
  await cluster.set('realtime.trusted_proxies', "''");
  // From now on it is the proxy's address that counts, whatever it says. The worker reads the setting at its own pace.
  await waitFor(async () => {
    connect(t, url, cluster, ca, '203.0.113.9').channel('other').subscribe();
    await waitFor(async () => (await addresses()).length > 1, 'a connection');
    return (await addresses()).includes('127.0.0.1');
  }, 'the address of the proxy');
});
