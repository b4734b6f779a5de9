'use strict';
// Whom the worker believes: key sets, opaque keys and required claims, changed by a reload under running clients. Each test
// has a server of its own.
const crypto = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const test = require('node:test');
const assert = require('node:assert/strict');
const { Cluster } = require('../lib/cluster');
const { handshake, kPath } = require('../lib/raw');
const { makeToken, now } = require('../lib/token');
const { waitFor } = require('../lib/wait');

const kKinds = {
  ES256: ['ec', { namedCurve: 'P-256' }, 'sha256', { dsaEncoding: 'ieee-p1363' }],
  RS256: ['rsa', { modulusLength: 2048 }, 'sha256', {}],
  EdDSA: ['ed25519', {}, null, {}],
};

// A key pair as an auth server would have it: its public side as a JWK, and tokens signed with the private one.
class Issuer {
  constructor(alg, kid) {
    const [type, options, digest, signing] = kKinds[alg];
    const pair = crypto.generateKeyPairSync(type, options);
    this.header = { alg, typ: 'JWT', kid };
    this.jwk = { ...pair.publicKey.export({ format: 'jwk' }), kid, use: 'sig', alg };
    this.sign = (text) => crypto.sign(digest, Buffer.from(text), { key: pair.privateKey, ...signing });
  }

  token(claims = {}) {
    const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const text = `${encode(this.header)}.${encode({ role: 'anon', exp: now() + 3600, ...claims })}`;
    return `${text}.${this.sign(text).toString('base64url')}`;
  }
}

async function answer(cluster, apikey) {
  const query = new URLSearchParams({ apikey, vsn: '2.0.0' });
  const { status, body } = await handshake(`${kPath}?${query}`, { host: '127.0.0.1', port: cluster.port });
  return body === '' ? `${status}` : `${status} ${JSON.parse(body).error}`;
}

const becomes = (cluster, key, expected) => {
  let last;
  const arrived = async () => {
    last = await answer(cluster, key).catch((error) => error.code);  // the worker may not listen yet
    return last === expected;
  };
  return waitFor(arrived, () => `"${expected}", not "${last}"`);
};

const setOf = (...issuers) => JSON.stringify({ keys: issuers.map((issuer) => issuer.jwk) });
const unknown = (kid) => `401 Failed to generate JWT signer for key ID (kid) "${kid}", check your JWT secret or JWKS configuration`;

test('a key set in a file: every kind of key, an unknown kid, rotation, a broken file', async (t) => {
  const cluster = await Cluster.start(t, "realtime.jwks = 'keys.json'\nrealtime.jwt_secret = ''");
  const write = async (text) => {
    fs.writeFileSync(path.join(cluster.env.PGDATA, 'keys.json'), text, { mode: 0o644 });
    await cluster.sql('select pg_reload_conf()');
  };
  const unreadable = 'could not read the file "keys.json" of realtime.jwks: No such file';
  assert.match(await cluster.log.hint(unreadable), /relative to the data directory/);

  const issuers = Object.keys(kKinds).map((alg) => new Issuer(alg, `kid of ${alg}`));
  await write(setOf(...issuers));
  for (const issuer of issuers) await becomes(cluster, issuer.token(), '101');
  assert.equal(await answer(cluster, new Issuer('ES256', 'kid of ES256').token()), '401 Failed to validate JWT signature');
  const next = new Issuer('ES256', 'next');
  assert.equal(await answer(cluster, next.token()), unknown('next'));

  const client = await cluster.client(t, { key: issuers[0].token() });
  assert.equal((await client.join('realtime:stays')).payload.status, 'ok');
  await write(setOf(next));
  await becomes(cluster, next.token(), '101');
  assert.equal(await answer(cluster, issuers[0].token()), unknown('kid of ES256'));
  assert.equal((await client.heartbeat()).payload.status, 'ok', 'a reload disconnects nobody');

  await write('{"keys": [{"kty": "RSA", "kid": "short", "n": "AQAB", "e": "AQAB"}]}');
  assert.match(await cluster.log.hint('realtime.jwks is not usable: keys[0]: the RSA key has 17 bits'), /JSON Web Key Set/);
  await becomes(cluster, next.token(), unknown('next'));
  await write(setOf(next));
  await becomes(cluster, next.token(), '101');
  assert.equal(cluster.log.count('realtime.jwks is not usable'), 1);
  assert.equal(cluster.log.count('realtime.jwks is usable'), 2);
});

test('opaque keys stand for their role until a token is presented', async (t) => {
  const publishable = 'sb_publishable_0123456789_abcdefgh';
  const secret = 'sb_secret_0123456789_abcdefgh';
  const cluster = await Cluster.start(t, `realtime.publishable_key = '${publishable}'\nrealtime.secret_key = '${secret}'`);
  await cluster.serving();
  await cluster.sql(`create table closed (id int); grant select on closed to service_role; select realtime.publish('closed')`);
  const bindings = [{ event: '*', schema: 'public', table: 'closed' }];
  const anon = await cluster.client(t, { key: publishable });
  assert.equal((await anon.join('realtime:closed', { bindings })).payload.status, 'error');
  const service = await cluster.client(t, { key: secret });
  await service.listen('realtime:closed', bindings);
  await cluster.sql('insert into closed values (1)');
  assert.equal((await service.change()).payload.data.record.id, 1);
  const withToken = await cluster.client(t, { key: publishable });
  await withToken.listen('realtime:closed', bindings, { token: cluster.env.SERVICE_KEY });
  assert.equal(await answer(cluster, `${secret}x`), '401 The token provided is not a valid JWT');
});

test('claims that every token must carry', async (t) => {
  const issuer = new Issuer('ES256', 'k');
  const cluster = await Cluster.start(t, `realtime.jwks = '${setOf(issuer)}'\nrealtime.jwt_claim_validators = '{"iss": "https://a"}'`);
  await becomes(cluster, issuer.token({ iss: 'https://a' }), '101');
  assert.equal(await answer(cluster, issuer.token({ iss: 'https://b' })), '500 Error connecting to Realtime');
  assert.equal(await answer(cluster, issuer.token()), '500 Error connecting to Realtime');
  await cluster.set('realtime.jwt_claim_validators', "'iss'");
  assert.match(await cluster.log.hint('realtime.jwt_claim_validators is not usable, so no token is accepted'), /JSON object/);
  await becomes(cluster, issuer.token({ iss: 'https://a' }), unknown('k'));
  await cluster.set('realtime.jwt_claim_validators', "''");
  await becomes(cluster, issuer.token(), '101');
});

const signedWith = (secret) => makeToken({ role: 'anon' }, { secret });

test('a secret is replaced without turning anybody away: jwt_secret_next, then jwt_secret', async (t) => {
  const [before, after] = ['the secret of before, 32 bytes or more', 'the secret of after it, 32 bytes or more'];
  const cluster = await Cluster.start(t, `realtime.jwt_secret = '${before}'`);
  await becomes(cluster, signedWith(before), '101');
  const wrong = '401 Failed to validate JWT signature';
  assert.equal(await answer(cluster, signedWith(after)), wrong);
  await cluster.set('realtime.jwt_secret_next', `'${after}'`);
  await becomes(cluster, signedWith(after), '101');
  assert.equal(await answer(cluster, signedWith(before)), '101', 'both count meanwhile');
  const client = await cluster.client(t, { key: signedWith(before) });
  assert.equal((await client.join('realtime:stays')).payload.status, 'ok');
  await cluster.set('realtime.jwt_secret', `'${after}'`);
  await cluster.set('realtime.jwt_secret_next', "''");
  await becomes(cluster, signedWith(before), wrong);
  assert.equal(await answer(cluster, signedWith(after)), '101');
  assert.equal((await client.heartbeat()).payload.status, 'ok', 'who is connected stays');
});

test('a secret in a file, replaced there', async (t) => {
  const [first, second] = ['the first secret in a file, 32 bytes', 'the second secret in a file, 32 bytes'];
  const cluster = await Cluster.start(t, "realtime.jwt_secret = ''\nrealtime.jwt_secret_file = 'secret.txt'");
  await cluster.log.line('could not read realtime.jwt_secret_file "secret.txt"');
  await cluster.log.line('JwtSignerError: no key for clients\' tokens is set, so every connection is refused');
  for (const secret of [first, second]) {
    fs.writeFileSync(path.join(cluster.env.PGDATA, 'secret.txt'), `${secret}\n`, { mode: 0o644 });
    await cluster.sql('select pg_reload_conf()');
    await becomes(cluster, signedWith(secret), '101');
  }
  assert.equal(await answer(cluster, signedWith(first)), '401 Failed to validate JWT signature');
  assert.equal(cluster.log.lines().filter((line) => line.includes(first) || line.includes(second)).length, 0, 'no secret in the log');
});

test('a reload names the secrets that it changed in the log, and shows no value of them', async (t) => {
  const cluster = await Cluster.start(t);
  await cluster.serving();
  const secrets = ['conninfo', 'jwt_secret', 'jwt_secret_next', 'jwks', 'secret_key', 'metrics_token'];
  const change = (spell, values, more = '') => {
    const lines = secrets.map((name) => `${spell(`realtime.${name}`)} = '${values[name] ?? `application_name=${values.other}`}'\n`);
    fs.appendFileSync(path.join(cluster.env.PGDATA, 'postgresql.conf'), lines.join('') + more);
    return cluster.sql('select pg_reload_conf()');
  };
  const changed = (times) => waitFor(() => secrets.every((name) => cluster.log.count(`parameter "realtime.${name}" changed`) >= times),
    () => `each change in the log; it ends with ${cluster.log.lines().slice(-8).join(' | ')}`);
  await change((name) => name, { other: 'first-value-of-it', jwks: '{"keys": "hidden"}' }, "realtime.jwt_secret_file = 'a path'\n");
  await changed(1);
  await cluster.log.line('parameter "realtime.jwt_secret_file" changed to "a path"');
  await change((name) => name.toUpperCase(), { other: 'second-value-of-it', jwks: '"keys": ["hidden"]}' });
  await changed(2);
  await change((name) => name, { secret_key: 'hidden', metrics_token: 'hidden', jwks: '', other: 'third-value-of-it' });
  for (const name of ['secret_key', 'metrics_token']) await cluster.log.line(`invalid value for parameter "realtime.${name}"`);
  assert.deepEqual(cluster.log.lines().filter((line) => /-value-of-it|hidden/.test(line)), []);
});
