#include "net/inspector.h"

namespace realtime {

// Speaks version 2.0.0 of the protocol by itself: supabase-js would be a hundred times its size.
constexpr std::string_view kInspectorScript = R"js('use strict';
const at = (id) => document.getElementById(id);
const kMostEvents = 500;
const kHeartbeatMs = 20000;
const kMostWaitMs = 10000;

let socket = null;   // the one in use; what a former one still says is not heard
let wanted = null;   // what the user has asked to join, until they leave
let joined = false;
let refs = 0;
let joinRef = null;
let heartbeat = null;  // { ref, sent } of the one that is not answered
let beat = 0;
let waitMs = 0;
let present = {};
let used = 'join';   // the form that was used last: what is wrong with it is said there
const counts = { broadcast: 0, change: 0, presence: 0, system: 0 };

// ---- what is shown ----

function element(name, text, attributes = {}) {
  const made = document.createElement(name);
  made.textContent = text;
  Object.assign(made, attributes);
  return made;
}

function showCounts() {
  for (const box of at('kinds').querySelectorAll('input')) box.parentElement.lastElementChild.textContent = counts[box.value];
}

// `data` is shown whole when the line is opened; the line itself has `gist`.
function show(kind, what, data, { bad = false, gist = data } = {}) {
  counts[kind] += 1;
  showCounts();
  const item = element('li', '');
  item.dataset.kind = kind;
  if (bad) item.dataset.bad = '';
  const now = new Date();
  const time = element('time', `${now.toTimeString().slice(0, 8)}.${String(now.getMilliseconds()).padStart(3, '0')}`);
  const text = typeof gist === 'string' ? gist : JSON.stringify(gist);
  const summary = element('summary', '');
  summary.append(time, element('span', kind === 'change' ? 'row change' : kind, { className: 'kind' }),
    element('span', what, { className: 'what' }), element('code', text.slice(0, 400), { className: 'text' }));
  const details = element('details', '');
  details.append(summary);
  // Made when it is looked at: most never are.
  details.addEventListener('toggle', () => {
    details.append(element('pre', typeof data === 'string' ? data : JSON.stringify(data, null, 2)));
  }, { once: true });
  item.append(details);
  at('events').prepend(item);
  while (at('events').children.length > kMostEvents) at('events').lastElementChild.remove();
}

function showStatus(state, text) {
  at('status').dataset.state = state;
  at('status').textContent = text;
  const busy = wanted !== null;
  at('enter').disabled = busy;
  at('leave').disabled = !busy;
  at('broadcast-fields').disabled = !joined;
  at('presence-fields').disabled = !joined || !wanted.presence;
  at('nothing').textContent = joined ? 'Nothing yet.' : 'Join a channel: messages, presence and row changes appear here, newest first.';
}

function showPresent() {
  const items = Object.entries(present).map(([key, entry]) => {
    const item = element('li', '', { title: key });
    item.append(element('b', shortKey(key)), ' ', element('code', statesOf(entry)));
    return item;
  });
  at('here-count').textContent = items.length;
  at('here').replaceChildren(...(items.length ? items : [element('li', 'Nobody has tracked a presence.', { className: 'empty' })]));
}

function problem(text) {
  at(joined ? used : 'join').firstElementChild.append(at('problem'));
  at('problem').textContent = text;
}

// ---- the connection ----

const push = (event, payload, ref = String(++refs)) => {
  socket.send(JSON.stringify([joinRef, ref, wanted.topic, event, payload]));
  return ref;
};

function readWanted() {
  const table = at('table').value.trim();
  const filter = at('filter').value.trim();
  const change = { event: at('operation').value, schema: at('schema').value.trim() || 'public', table, ...(filter ? { filter } : {}) };
  return {
    key: at('key').value.trim(), token: at('token').value.trim(), topic: `realtime:${at('topic').value.trim()}`,
    presence: at('with-presence').checked,
    config: {
      private: at('private').checked, broadcast: { self: at('self').checked, ack: true },
      presence: { key: '', enabled: at('with-presence').checked }, postgres_changes: table ? [change] : [],
    },
  };
}

function connect() {
  const address = new URL('realtime/v1/websocket', location.href);
  address.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:';
  address.search = new URLSearchParams({ apikey: wanted.key, vsn: '2.0.0' });
  const made = new WebSocket(address);
  let opened = false;
  socket = made;
  made.binaryType = 'arraybuffer';
  made.onopen = () => { opened = true; if (socket === made) join(); };
  made.onmessage = ({ data }) => { if (socket === made) receive(typeof data === 'string' ? readText(data) : readBinary(data)); };
  made.onclose = ({ code, reason }) => { if (socket === made) closed(opened, code, reason); };
  showStatus('wait', 'Connecting …');
}

function join() {
  joinRef = String(++refs);
  const payload = { config: wanted.config };
  if (wanted.token) payload.access_token = wanted.token;
  push('phx_join', payload, joinRef);
  beat = setInterval(sendHeartbeat, kHeartbeatMs);
  sendHeartbeat();
  showStatus('wait', 'Joining …');
}

function sendHeartbeat() {
  if (heartbeat) return socket.close();  // the last one was not answered
  heartbeat = { ref: String(++refs), sent: performance.now() };
  socket.send(JSON.stringify([null, heartbeat.ref, 'phoenix', 'heartbeat', {}]));
}

function forget() {
  clearInterval(beat);
  heartbeat = null;
  joined = false;
  present = {};
  at('pace').textContent = '';
  showPresent();
}

function closed(opened, code, reason) {
  forget();
  socket = null;
  if (!opened && waitMs === 0) {
    wanted = null;
    problem('The server refused the connection. Is the key right and not expired? If realtime.allowed_origins is set, is '
      + `${location.origin} in it?`);
    return showStatus('bad', 'Refused');
  }
  if (opened) show('system', `connection closed (${code})`, reason || 'It is tried again.', { bad: true });
  waitMs = Math.min(waitMs * 2 || 500, kMostWaitMs);
  setTimeout(() => { if (wanted && !socket) connect(); }, waitMs * (0.5 + Math.random() / 2));
  showStatus('wait', 'Connecting again …');
}

function leave(state = 'off', text = 'Not connected') {
  const old = socket;
  socket = null;
  wanted = null;
  waitMs = 0;
  forget();
  if (old) old.close(1000);
  showStatus(state, text);
}

// ---- what arrives ----

const readText = (text) => JSON.parse(text);

// A user's broadcast: 4, the lengths of topic, event and metadata, whether the payload is JSON, and then all of them.
function readBinary(buffer) {
  const bytes = new Uint8Array(buffer);
  const decoder = new TextDecoder();
  let from = 5;
  const take = (length) => decoder.decode(bytes.subarray(from, from += length));
  const [topic, event, meta] = [take(bytes[1]), take(bytes[2]), take(bytes[3])];
  const rest = bytes.subarray(from);
  const payload = bytes[4] === 1 ? JSON.parse(decoder.decode(rest)) : `${rest.length} bytes: ${hex(rest)}`;
  return [null, null, topic, 'broadcast', { event, payload, ...(meta ? { meta: JSON.parse(meta) } : {}) }];
}

function hex(bytes) {
  const shown = [...bytes.subarray(0, 64)].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
  return bytes.length > 64 ? `${shown} …` : shown;
}

const onEvent = {
  phx_reply: onReply,
  broadcast: ({ event, payload = null, meta }) => show('broadcast', event ?? '', meta ? { payload, meta } : payload, { gist: payload }),
  postgres_changes: onChange,
  presence_state: (state) => { present = state; showPresent(); show('presence', 'state', state, { gist: gistOf('', state) }); },
  presence_diff: onDiff,
  system: (payload) => show('system', `${payload.extension}: ${payload.status}`, payload.message, { bad: payload.status !== 'ok' }),
  phx_close: () => { leave('bad', 'Channel closed'); problem('The server closed the channel.'); },
  phx_error: () => { leave('bad', 'Channel failed'); problem('The server ended the channel with an error.'); },
};

function receive([, ref, topic, event, payload]) {
  if (topic === 'phoenix') return onHeartbeat(ref);
  const handle = Object.hasOwn(onEvent, event) ? onEvent[event] : () => show('system', event, payload);
  handle(payload, ref);
}

function onHeartbeat(ref) {
  if (!heartbeat || heartbeat.ref !== ref) return;
  at('pace').textContent = `heartbeat ${(performance.now() - heartbeat.sent).toFixed(1)} ms`;
  heartbeat = null;
}

function onReply({ status, response }, ref) {
  const ok = status === 'ok';
  if (ref !== joinRef) {
    problem(ok ? '' : `Not accepted: ${response?.reason ?? (typeof response === 'string' ? response : 'the policies may deny it')}`);
    return;
  }
  if (!ok) {
    leave('bad', 'Not joined');
    return problem(response?.reason ?? 'The server refused the join.');
  }
  joined = true;
  waitMs = 0;
  show('system', 'joined', wanted.topic.slice('realtime:'.length));
  showStatus('on', 'Joined');
}

function onChange({ data }) {
  const { type, schema, table, record, old_record: old, errors } = data;
  const gist = errors ? errors.join('; ') : type === 'DELETE' ? old : record;
  show('change', `${type} ${schema}.${table}`, data, { bad: Boolean(errors), gist: gist ?? '' });
}

// A key that the server has chosen is a UUID: its beginning tells two of them apart.
const shortKey = (key) => (/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(key) ? `${key.slice(0, 8)}…` : key);
const statesOf = ({ metas }) => metas.map(({ phx_ref: ref, phx_ref_prev: previous, ...state }) => JSON.stringify(state)).join(' ');

function gistOf(sign, entries) {
  return Object.entries(entries).map(([key, entry]) => `${sign}${shortKey(key)} ${statesOf(entry)}`).join('  ') || (sign ? '' : 'nobody');
}

function onDiff({ joins, leaves }) {
  const refsOf = (entry) => new Set(entry.metas.map((meta) => meta.phx_ref));
  const without = (metas, gone) => metas.filter((meta) => !gone.has(meta.phx_ref));
  // Objects of no prototype: a key may be called anything.
  const next = Object.assign(Object.create(null), present);
  for (const [key, entry] of Object.entries(joins)) {
    next[key] = { metas: [...without(next[key]?.metas ?? [], refsOf(entry)), ...entry.metas] };
  }
  for (const [key, entry] of Object.entries(leaves)) {
    const metas = without(next[key]?.metas ?? [], refsOf(entry));
    if (metas.length) next[key] = { metas }; else delete next[key];
  }
  present = next;
  showPresent();
  show('presence', 'diff', { joins, leaves }, { gist: `${gistOf('+', joins)} ${gistOf('−', leaves)}`.trim() });
}

// ---- what the user does ----

function describeKey() {
  const note = at('key-note');
  note.textContent = 'The key stays in this page.';
  try {
    const part = at('key').value.trim().split('.')[1].replace(/-/g, '+').replace(/_/g, '/');
    const { role, exp } = JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(part), (c) => c.charCodeAt(0))));
    const until = exp ? `, ${exp * 1000 < Date.now() ? 'expired' : 'valid until'} ${new Date(exp * 1000).toLocaleString()}` : '';
    note.textContent = `Role ${role}${until}. The key stays in this page.`;
  } catch { /* not a token: nothing to tell */ }
}

// The value of a text area, or undefined when it is not JSON.
function readJson(id) {
  try {
    return JSON.parse(at(id).value);
  } catch (error) {
    problem(`This is not JSON: ${error.message}`);
    at(id).focus();
    return undefined;
  }
}

function on(form, act) {
  at(form).addEventListener('submit', (event) => { event.preventDefault(); used = form; problem(''); act(); });
}

function chooseKinds() {
  at('feed').className = [...at('kinds').querySelectorAll('input:checked')].map((box) => box.value).join(' ');
}

on('join', () => { wanted = readWanted(); connect(); });
on('broadcast', () => {
  const payload = readJson('payload');
  if (payload !== undefined) push('broadcast', { type: 'broadcast', event: at('name').value, payload });
});
on('presence', () => {
  const payload = readJson('meta');
  if (payload !== undefined) push('presence', { type: 'presence', event: 'track', payload });
});
at('untrack').addEventListener('click', () => {
  used = 'presence';
  problem('');
  push('presence', { type: 'presence', event: 'untrack' });
});
at('leave').addEventListener('click', () => leave());
at('clear').addEventListener('click', () => {
  at('events').replaceChildren();
  for (const kind of Object.keys(counts)) counts[kind] = 0;
  showCounts();
});
at('kinds').addEventListener('change', chooseKinds);
at('key').addEventListener('input', describeKey);
at('server').textContent = location.host;
chooseKinds();
)js";

}  // namespace realtime
