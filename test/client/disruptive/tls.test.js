'use strict';
// The listener over TLS: real clients, a certificate that changes, and whoever speaks something else.
const fs = require('node:fs');
const http = require('node:http');
const https = require('node:https');
const path = require('node:path');
const test = require('node:test');
const assert = require('node:assert/strict');
const { createClient } = require('@supabase/supabase-js');
const WebSocket = require('ws');
const { certify, connect, nameOf } = require('../lib/certificate');
const { Cluster } = require('../lib/cluster');
const { cleanup } = require('../lib/cleanup');
const { waitFor } = require('../lib/wait');

const request = (library, options, body) => new Promise((resolve, reject) => {
  const call = library.request({ host: '127.0.0.1', ...options }, (response) => {
    let text = '';
    response.on('data', (data) => { text += data; });
    response.on('end', () => resolve({ status: response.statusCode, text }));
  });
  call.on('error', reject);
  call.end(body);
});

test('supabase-js over wss, REST over https, large messages, a new certificate', async (t) => {
  const cluster = await Cluster.start(t);
  const ca = certify(cluster, 'first');
  await cluster.set('realtime.ssl', 'on');
  await waitFor(async () => (await nameOf(cluster)) === 'first', 'the listener to speak TLS');

  class Trusting extends WebSocket {
    constructor(url, protocols) { super(url, protocols, { ca }); }
  }
  const open = async () => {
    const client = createClient(`https://127.0.0.1:${cluster.port}`, cluster.env.ANON_KEY, { realtime: { transport: Trusting } });
    cleanup(t, () => client.realtime.disconnect());
    const got = [];
    const channel = client.channel('a/b', { config: { broadcast: { ack: true } } }).on('broadcast', { event: '*' }, (message) => got.push(message));
    await new Promise((resolve, reject) => channel.subscribe((status, error) => (status === 'SUBSCRIBED' ? resolve() : reject(error || status))));
    return { channel, got };
  };
  const [sender, reader] = [await open(), await open()];
  const large = 'x'.repeat(2900000);
  for (let i = 0; i < 6; i += 1) assert.equal(await sender.channel.send({ type: 'broadcast', event: 'large', payload: { i, large } }), 'ok');
  await waitFor(() => reader.got.length === 6, 'six large messages');
  reader.got.forEach((message, i) => assert.deepEqual([message.payload.i, message.payload.large === large], [i, true]));

  const rest = await request(https, { port: cluster.port, ca, method: 'POST', path: '/realtime/v1/api/broadcast/a%2Fb/events/c%2F%2Fd',
    headers: { apikey: cluster.env.ANON_KEY, 'content-type': 'application/json' } }, '{"over":"https"}');
  assert.equal(rest.status, 202, rest.text);
  await waitFor(() => reader.got.length === 7, 'the message from REST');
  assert.deepEqual([reader.got[6].event, reader.got[6].payload], ['c//d', { over: 'https' }]);

  certify(cluster, 'second');
  await cluster.sql('select pg_reload_conf()');
  await waitFor(async () => (await nameOf(cluster)) === 'second', 'the new certificate');
  fs.writeFileSync(path.join(cluster.env.PGDATA, 'server.crt'), 'broken');
  await cluster.sql('select pg_reload_conf()');
  await cluster.log.line('the certificate before it stays in use');
  assert.equal(await nameOf(cluster), 'second');
  assert.equal(await sender.channel.send({ type: 'broadcast', event: 'still', payload: {} }), 'ok', 'who was connected stays');
  await waitFor(() => reader.got.length === 8, 'a message on the old connections');
});

test('what is not TLS 1.2 or newer is refused, and without a certificate nothing is served', async (t) => {
  const cluster = await Cluster.start(t);
  await cluster.serving();
  await cluster.set('realtime.ssl', 'on');
  await cluster.log.line('nothing is served, because realtime.ssl is on');
  await waitFor(async () => (await cluster.status()) === 0, 'the plain listener to close');
  const state = async () => (await cluster.sql('select state, last_error from realtime.stat_worker'))[0];
  await waitFor(async () => (await state()).state === 'waiting for an address to listen on', 'the state to say so');
  assert.match((await state()).last_error, /nothing is served, because realtime\.ssl is on/);

  certify(cluster, 'late');
  const key = path.join(cluster.env.PGDATA, 'server.key');
  fs.chmodSync(key, 0o644);
  await cluster.sql('select pg_reload_conf()');
  await cluster.log.line('has group or world access');
  // As often as PostgreSQL's own listener, PostgreSQL itself says so; we do once.
  await cluster.sql('select pg_reload_conf()');
  await waitFor(() => cluster.log.count('has group or world access') >= 2, 'the second reload');
  assert.equal(cluster.log.count('nothing is served, because realtime.ssl is on'), 1);
  assert.equal(await nameOf(cluster), undefined);
  fs.chmodSync(key, 0o600);
  await cluster.sql('select pg_reload_conf()');
  await waitFor(async () => (await nameOf(cluster)) === 'late', 'the listener to speak TLS');
  await waitFor(async () => (await state()).state === 'idle', 'the state to be well again');

  await assert.rejects(connect(cluster, { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' }), /protocol version|ECONNRESET/);
  assert.equal(await connect(cluster, { maxVersion: 'TLSv1.2' }), 'late');
  const plain = await request(http, { port: cluster.port, path: '/healthcheck' });
  assert.deepEqual([plain.status, JSON.parse(plain.text)], [400, { error: 'this port speaks TLS: use https or wss' }]);
});
