'use strict';
// What random tables are made of: columns, and the few values that their rows and the claims draw from, so that they meet.
const kUsers = [1, 2, 3, 4].map((n) => `${String(n).repeat(8)}-0000-4000-8000-000000000000`);
const kOrgs = ['a', 'b', 'acme', 'ACME'];

const quote = (value) => (value === null ? 'null' : `'${String(value).replaceAll("'", "''")}'`);
const kNullChance = 0.15;

// `{s}` stands for the schema. A column is made with its needs.
const kColumns = [
  { name: 'owner', type: 'uuid', value: (r) => r.pick(kUsers) },
  { name: 'team', type: 'int', value: (r) => r.between(0, 4) },
  { name: 'org', type: 'text', value: (r) => r.pick([...kOrgs, '']) },
  { name: 'level', type: 'int', value: (r) => r.between(0, 5) },
  { name: 'flag', type: 'boolean', value: (r) => r.chance(0.5) },
  { name: 'tags', type: 'text[]', value: (r) => `{${r.some([...kOrgs, 'null'], 0.4).join(',')}}` },
  { name: 'doc', type: 'jsonb', value: (r) => JSON.stringify({ n: r.pick([1, 7, 'x', null]), org: r.pick(kOrgs), team: r.between(0, 3) }) },
  { name: 'at', type: 'timestamptz', value: (r) => r.pick(['2000-01-01', '2999-01-01', 'infinity']) },
  { name: 'mood', type: '{s}.mood', value: (r) => r.pick(['sad', 'ok', 'glad']) },
  { name: 'score', type: 'numeric', value: (r) => r.pick(['0', '1.50', '-3', 'NaN']) },
  { name: 'small', type: 'smallint', value: (r) => r.between(0, 4) },
  { name: 'wide', type: 'bigint', value: (r) => r.pick([0, 1, 2, '9007199254740993']) },
  { name: 'span', type: 'int4range', value: (r) => r.pick(['[0,3)', '[2,9]', 'empty']) },
  { name: 'slug', type: '{s}.slug', value: (r) => r.pick(kOrgs) },
  { name: 'padded', type: 'char(4)', value: (r) => r.pick(kOrgs) },
  { name: 'label', type: 'varchar(12)', value: (r) => r.pick(kOrgs) },
  // Stored out of line: an UPDATE that leaves it alone does not carry it.
  { name: 'big', type: 'text', literal: (r) => `'${r.pick(kOrgs)}' || repeat('x', ${r.pick([10, 3000])})`, external: true },
  { name: 'twice', type: "int generated always as (level * 2) stored", generated: true, needs: 'level' },
];

function randomValue(r, column) {
  if (r.chance(kNullChance)) return 'null';
  return column.literal ? column.literal(r) : quote(column.value(r));
}

module.exports = { kColumns, kUsers, kOrgs, quote, randomValue };
