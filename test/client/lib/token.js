'use strict';
const crypto = require('node:crypto');
const env = require('./env');

const base64url = (value) => Buffer.from(value).toString('base64url');
const now = () => Math.floor(Date.now() / 1000);

function sign(header, payload, secret) {
  const body = `${base64url(JSON.stringify(header))}.${base64url(JSON.stringify(payload))}`;
  return `${body}.${crypto.createHmac('sha256', secret).update(body).digest('base64url')}`;
}

// A user's token, valid for an hour unless `claims.exp` says otherwise. An undefined claim is left out.
function makeToken(claims = {}, { secret = env.jwtSecret, header = {} } = {}) {
  const payload = { role: 'authenticated', iat: now(), exp: now() + 3600, ...claims };
  return sign({ alg: 'HS256', typ: 'JWT', ...header }, payload, secret);
}

const userToken = (sub, claims = {}) => makeToken({ sub, ...claims });

module.exports = { makeToken, userToken, now };
