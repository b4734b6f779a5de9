'use strict';
// The README's tables of settings, views and functions are what the server has: every name, every default, nothing else.
// (Metrics: disruptive/metrics. Codes: test/architecture.sh.)
const fs = require('node:fs');
const path = require('node:path');
const test = require('node:test');
const assert = require('node:assert/strict');
const { Cluster } = require('../lib/cluster');

const kReadme = fs.readFileSync(path.join(__dirname, '../../../README.md'), 'utf8');

// The cells of each row of the tables below a heading.
function tableBelow(heading) {
  const from = kReadme.indexOf(`\n${heading}\n`);
  assert.ok(from >= 0, heading);
  const section = kReadme.slice(from + heading.length + 2).split(/^#+ /m)[0];
  const rows = section.split('\n').filter((line) => line.startsWith('| `')).map((line) => line.split(/(?<!\\) ?\| ?/).slice(1, -1));
  assert.ok(rows.length > 0, `${heading} has a table`);
  return rows;
}
const codes = (cell) => [...cell.matchAll(/`([^`]+)`/g)].map((match) => match[1]);
const words = (cell) => codes(cell).filter((code) => /^[a-z_0-9]+$/.test(code));

// A default as the README writes it and as pg_settings has it, in the same words: bytes, milliseconds, or the text itself.
const kUnits = { B: 1, kB: 1024, MB: 1024 ** 2, GB: 1024 ** 3, ms: 1, s: 1000, min: 60000, h: 3600000, d: 86400000 };
function inUnits(text) {
  const [, number, unit = ''] = text.match(/^(\d+)([a-zA-Z]*)$/) ?? [];
  return number && unit in kUnits ? Number(number) * kUnits[unit] : text;
}
const documentedDefault = (cell) => (cell === 'empty' ? '' : inUnits(codes(cell)[0] + (cell.endsWith(' bytes') ? 'B' : '')));
const actualDefault = ({ boot_val: value, unit }) => (unit ? inUnits(value + unit) : value);

const kNobody = 'regress_reference_nobody';

test('settings: names, defaults, and who is shown them', async (t) => {
  // Secrets are in no list, so their default is what they are when nothing sets them.
  const cluster = await Cluster.start(t, "realtime.jwt_secret = ''");
  const rows = tableBelow('## Settings').map(([name, initial, meaning]) => ({ name: codes(name)[0], initial, meaning }));
  const listed = new Map((await cluster.sql("select name, boot_val, unit, context from pg_settings where name like 'realtime.%'"))
    .map((row) => [row.name, row]));
  const hidden = [];
  for (const { name, initial, meaning } of rows) {
    const setting = listed.get(name);
    const secret = /shown to superusers only/.test(meaning);
    assert.equal(setting === undefined, secret, `${name} is ${secret ? 'a secret' : 'none'}`);
    if (secret) {
      hidden.push(name);
      assert.equal((await cluster.sql(`select current_setting('${name}') value`))[0].value, documentedDefault(initial), name);
    } else {
      assert.equal(actualDefault(setting), documentedDefault(initial), name);
      assert.equal(setting.context, name === 'realtime.topic' ? 'user' : 'sighup', `${name}: a reload is enough`);
    }
  }
  assert.deepEqual([...listed.keys()].filter((name) => !rows.some((row) => row.name === name)), [], 'settings without a row');
  assert.ok(hidden.includes('realtime.jwt_secret') && hidden.length >= 5, `${hidden}`);
  await cluster.sql(`create role ${kNobody}`);
  for (const name of hidden) {
    await assert.rejects(cluster.sql(`set role ${kNobody}; show ${name}`), /must be superuser|permission denied/, name);
  }
});

async function columnsOf(cluster, view) {
  const rows = await cluster.sql(`select column_name from information_schema.columns
    where table_schema = 'realtime' and table_name = '${view}' order by ordinal_position`);
  return rows.map((row) => row.column_name);
}

test('views: each column in its place, and none that is not there', async (t) => {
  const cluster = await Cluster.start(t);
  const rows = tableBelow('## Watching it');
  const named = new Map(rows.filter((row) => row.length === 3).map(([view, , columns]) => [codes(view)[0], words(columns)]));
  named.set('stat_worker', rows.filter((row) => row.length === 2).flatMap(([columns]) => words(columns)));
  for (const [view, columns] of named) assert.deepEqual([...columns].sort(), (await columnsOf(cluster, view)).sort(), view);
  const views = await cluster.sql("select viewname from pg_views where schemaname = 'realtime'");
  assert.deepEqual([...named.keys()].sort(), views.map((row) => row.viewname).sort());
});

test('functions: each of the table exists, with its parameters; and what others than the owner may call is there', async (t) => {
  const cluster = await Cluster.start(t);
  // The rows name some functions without their schema, behind one of the same kind that has it.
  const named = tableBelow('## SQL').flatMap(([cell]) => codes(cell)).map((code) => {
    const [, name, parameters] = code.match(/^(?:realtime\.)?([a-z_]+)\((.*)\)$/s) ?? [];
    assert.ok(name, code);
    return { name, count: parameters === '' ? 0 : parameters.split(',').length };
  });
  const made = await cluster.sql(`select proname as name, pronargs as count, proacl is not null and proacl <> acldefault('f', proowner)
    and exists (select from aclexplode(proacl) where grantee not in (0, proowner)) as granted
    from pg_proc where pronamespace = 'realtime'::regnamespace`);
  for (const { name, count } of named) assert.ok(made.some((row) => row.name === name && row.count === count), `${name}, ${count} parameters`);
  const granted = made.filter((row) => row.granted).map((row) => row.name).sort();
  assert.ok(granted.length >= 5, `${granted}`);
  assert.deepEqual(granted.filter((name) => !named.some((row) => row.name === name)), []);
});
