'use strict';
// The REST side of broadcast, as plain requests.
const env = require('./env');

const kPaths = ['/realtime/v1/api/broadcast', '/api/broadcast'];

async function request(path, { method = 'POST', headers = {}, key = env.anonKey, body } = {}) {
  const answer = await fetch(`${env.url}${path}`, {
    method, body, headers: { ...(key ? { authorization: `Bearer ${key}` } : {}), ...headers },
  });
  const text = await answer.text();
  return { status: answer.status, headers: answer.headers, text, json: () => JSON.parse(text) };
}

const json = (body) => (typeof body === 'string' ? body : JSON.stringify(body));

// `messages`: the batch's messages; or, as a string, the whole body.
const postBatch = (messages, { path = kPaths[0], headers = {}, ...options } = {}) => request(path, {
  headers: { 'content-type': 'application/json', ...headers },
  body: typeof messages === 'string' ? messages : json({ messages }), ...options,
});

function postSingle(topic, event, body, { type = 'application/json', query = '', prefix = kPaths[0], headers = {}, ...options } = {}) {
  const path = `${prefix}/${encodeURIComponent(topic)}/events/${encodeURIComponent(event)}${query}`;
  const bytes = typeof body === 'string' || ArrayBuffer.isView(body) ? body : json(body);
  return request(path, { headers: { ...(type ? { 'content-type': type } : {}), ...headers }, body: bytes, ...options });
}

module.exports = { request, postBatch, postSingle, kPaths };
