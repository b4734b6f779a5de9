'use strict';
// Random policy expressions. `{s}` is the schema, `{t}` the table that the policy is for, `{u}` a user, `{r}` a role.
const { kUsers } = require('./columns');

const kNoColumns = [
  'true', 'false', 'null::boolean', '{t}.id % 2 = 0', '{t}.id > 3', 'auth.uid() is not null', "auth.uid() = '{u}'",
  "(select auth.uid()) = '{u}'", "auth.role() = '{r}'", "current_user = '{r}'", "current_setting('role') = '{r}'",
  "pg_has_role(current_user, '{r}', 'member')", "auth.jwt() ->> 'org' = 'acme'", "(auth.jwt() -> 'app' ->> 'admin')::boolean",
  "(select (auth.jwt() ->> 'level')::int) > 2", "coalesce((auth.jwt() ->> 'level')::int, 0) > {t}.id % 4",
  "nullif(current_setting('request.jwt.claims', true), '')::jsonb ? 'org'", '{s}.is_first()',
  '{t}.id > {s}.threshold()', '{t}.id <= {s}.limit_pl()', '{s}.threshold() = {t}.id',
  'exists (select 1 from {s}.members)', '(select count(*) from {s}.members) > {t}.id', '{t}.id in (select m.team from {s}.members m)',
  '{t}.id not in (select m.team from {s}.members m where m.team is not null)', '{t}.id = any (array(select {s}.my_teams()))',
  '{t}.id in (select {s}.my_teams())', '{s}.is_member({t}.id)', 'exists (select 1 from {s}.teams where id = {t}.id)',
  "auth.jwt() -> 'teams' @> to_jsonb({t}.id)", "{t}.id in (select (e.value #>> '{}')::int from jsonb_array_elements(auth.jwt() -> 'teams') e)",
  'exists (with w as (select team from {s}.members where user_id = auth.uid()) select from w where w.team = {t}.id)',
  "nullif(current_setting('request.jwt.claim.sub', true), '') = '{u}'", '{s}.my_org() is distinct from \'a\'',
];

const kByColumns = [
  ['owner', 'auth.uid() = {t}.owner'], ['owner', '{t}.owner = (select auth.uid())'], ['owner', '(select auth.uid()) = {t}.owner'],
  ['owner', '{s}.is_mine({t}.owner)'], ['owner', '(select {s}.is_mine({t}.owner))'],
  ['owner', '{t}.owner::text = auth.uid()::text'], ['owner', "{t}.owner::text = auth.jwt() ->> 'sub'"], ['owner', '{t}.owner is null'],
  ['owner', "{t}.owner in (auth.uid(), '{u}')"], ['owner', '{t}.owner is not distinct from auth.uid()'], ['owner', '{t}.owner <> auth.uid()'],
  ['owner', "auth.uid() = any (array[{t}.owner, '{u}'])"], ['owner', '{t}.owner in (select m.user_id from {s}.members m)'],
  ['owner team', '({t}.owner, {t}.team) in (select m.user_id, m.team from {s}.members m)'],
  ['owner team', 'auth.uid() = {t}.owner and {t}.team > 0'], ['owner team', 'auth.uid() = coalesce({t}.owner, auth.uid())'],
  ['team', '{t}.team in (select m.team from {s}.members m where m.user_id = auth.uid())'],
  ['team', '{t}.team in (select m.team from {s}.members m where m.user_id = (select auth.uid()))'],
  ['team', 'exists (select 1 from {s}.members m where m.user_id = auth.uid() and m.team = {t}.team)'],
  ['team', 'not exists (select 1 from {s}.members m where m.user_id = (select auth.uid()) and m.team = {t}.team)'],
  ['team', '{t}.team not in (select m.team from {s}.members m)'], ['team', '{t}.team = (select max(m.team) from {s}.members m where m.user_id = auth.uid())'],
  ['team', '(select count(*) from {s}.members m where m.team = {t}.team) > 1'],
  ['team', 'exists (select 1 from {s}.teams e join {s}.members m on m.team = e.id where e.id = {t}.team and e.owner = auth.uid())'],
  ['team', 'auth.uid() in (select e.owner from {s}.teams e where e.id = {t}.team union select m.user_id from {s}.members m where m.team = {t}.team)'],
  ['team', "{t}.team = (auth.jwt() ->> 'team')::int"], ['team', "{t}.team = (select (auth.jwt() ->> 'team')::int)"], ['team', '{t}.team between 1 and 2'],
  ['team', '{s}.is_member({t}.team)'], ['team', '{s}.is_member_pl({t}.team)'], ['team', '{s}.is_member_volatile({t}.team)'],
  ['team', '{s}.is_member_definer({t}.team)'], ['team', '(select {s}.is_member_volatile({t}.team))'], ['team', '(select {s}.is_member({t}.team))'],
  ['team', '{t}.team = any (array(select {s}.my_teams()))'], ['team', '{t}.team = any ((select array_agg(m.team) from {s}.members m where m.user_id = auth.uid())::int[])'],
  ['team', 'exists (select from {s}.members m, lateral (select 1 where m.team = {t}.team) l where m.user_id = auth.uid())'],
  ['team level', '{t}.team = {t}.level'], ['team level', '({t}.team, {t}.level) > (1, 2)'],
  ['org', "{t}.org = auth.jwt() ->> 'org'"], ['org', "(select auth.jwt() ->> 'org') = {t}.org"], ['org', '{t}.org = {s}.my_org()'],
  ['org', '{t}.org = (select {s}.my_org())'], ['org', "{t}.org like 'a%'"], ['org', "{t}.org ilike auth.jwt() ->> 'org'"], ['org', '{t}.org is null'],
  ['org', "lower({t}.org) = lower(auth.jwt() ->> 'org')"], ['org', "{t}.org = current_setting('request.jwt.claims', true)::json ->> 'org'"],
  ['org', "{t}.org = any (array['a', auth.jwt() ->> 'org'])"], ['org', "{t}.org <> ''"], ['org', "{t}.org collate \"C\" < 'b'"],
  ['org', "{t}.org = auth.jwt() ->> 'org' and {t}.id > 2"],
  ['level', '{s}.level_ok({t}.level)'], ['level', "{t}.level >= (auth.jwt() ->> 'level')::int"], ['level', '{t}.level is null or {t}.level < 3'],
  ['level', '{t}.level = ANY (ARRAY[1, 2, NULL])'], ['flag', '{t}.flag'], ['flag', '{t}.flag is not true'], ['flag', 'not {t}.flag'],
  ['tags', "auth.jwt() ->> 'org' = any ({t}.tags)"], ['tags', "{t}.tags && array['a', 'b']"], ['tags', "{t}.tags @> array[auth.jwt() ->> 'org']"],
  ['doc', "{t}.doc ->> 'org' = auth.jwt() ->> 'org'"], ['doc', "{t}.doc @> jsonb_build_object('team', (auth.jwt() ->> 'team')::int)"],
  ['doc', "case when {t}.doc ->> 'n' ~ '^[0-9]+$' then ({t}.doc ->> 'n')::int > 3 else false end"], ['doc', "({t}.doc ->> 'team')::int in (select {s}.my_teams())"],
  ['at', '{t}.at < now()'], ['at', "{t}.at = 'infinity'"], ['mood', "{t}.mood > 'sad'"], ['mood', "{t}.mood::text = any (array['ok', 'glad'])"],
  ['score', '{t}.score > 0'], ['score', "{t}.score = 1.5"], ['small', "{t}.small = (auth.jwt() ->> 'team')::int"], ['small', '{s}.is_member({t}.small)'],
  ['wide', "{t}.wide = (auth.jwt() ->> 'team')::int"], ['wide', "{t}.wide = (select (auth.jwt() ->> 'team')::bigint)"],
  ['span', "{t}.span @> (auth.jwt() ->> 'team')::int"], ['span', 'isempty({t}.span)'], ['slug', "{t}.slug = auth.jwt() ->> 'org'"],
  ['slug', "(select auth.jwt() ->> 'org')::{s}.slug = {t}.slug"], ['padded', "{t}.padded = auth.jwt() ->> 'org'"], ['padded', "{t}.padded = (auth.jwt() ->> 'org')::bpchar"],
  ['label', "{t}.label = auth.jwt() ->> 'org'"], ['label', "(select auth.jwt() ->> 'org')::varchar(2) = {t}.label"],
  ['big', 'length({t}.big) > 100'], ['big', "{t}.big like (auth.jwt() ->> 'org') || 'x%'"], ['twice', '{t}.twice > 4'],
  ['twice team', '{t}.twice = {t}.team'],
];

// What a plan made for one user must not answer for the next.
const kOfTheUser = [
  '{s}.is_first_wrongly_immutable()', '{s}.me_wrongly_immutable() = {t}.id::text', "{s}.me_wrongly_immutable() in ('{u}', '{u}')",
  "(select {s}.me_wrongly_immutable()) = '{u}'", "'{u}' = (select auth.uid())", 'exists (select from {s}.members m where m.user_id::text = {s}.me_wrongly_immutable())',
];

// What no plan over bare values can answer: the table itself is asked.
const kOfTheTable = [
  '{t}.ctid is not null', '{t}.tableoid is not null', "{t}.xmin::text <> '0'", "to_jsonb({t}) ->> 'id' in ('1', '3', '5')", '{t} is not null',
  "{t}::text like '%a%'", 'exists (select 1 from {s}.members m where m.team = {t}.id and {t}.ctid is not null)', '({t}).id > 2', "{t}.tableoid = 0",
];

// Each is the only policy of its table: whether an error comes before another condition's answer is nobody's promise.
const kRaising = [
  ['', '{s}.raise_if({t}.id)'], ['', 'case when {t}.id % 3 = 0 then {s}.raise_if(2) else true end'], ['level', '10 / {t}.level > 2'],
  ['doc', "({t}.doc ->> 'n')::int > 1"], ['', 'case when {t}.id < 3 then {s}.raise_if({t}.id) else auth.uid() is not null end'],
  ['', 'exists (select 1 from {s}.{t} x where x.id = {t}.id)'], ['', 'case when {t}.id > 0 then true else {s}.raise_immutable(2) end'],
  ['', '{t}.id = (select m.team from {s}.members m)'], ['', "(auth.jwt() ->> 'org')::int = {t}.id"], ['', 'auth.uid() is not null'],
  ['', 'exists (select 1 from {s}.secrets)'], ['team', '{s}.knows_secret({t}.team)'],
];
// These change what the session says of its user; nobody else, and no later row, may notice.
const kHostile = ['{s}.hijack({t}.id)', '(select {s}.hijack({t}.id))'];

const fill = (r, text, world, table) => text.replaceAll('{s}', world.schema).replaceAll('{t}', table.name)
  .replaceAll('{u}', r.pick(kUsers)).replaceAll('{r}', r.pick(world.roles));

const usable = (list, table) => list.filter(([needs]) => needs.split(' ').every((name) => name === '' || table.has(name))).map(([, text]) => text);

function atom(r, world, table) {
  if (table.asksTable && r.chance(0.3)) return fill(r, r.pick(kOfTheTable), world, table);
  if (r.chance(0.06)) return fill(r, r.pick(kOfTheUser), world, table);
  const byColumns = usable(kByColumns, table);
  return fill(r, byColumns.length > 0 && r.chance(0.75) ? r.pick(byColumns) : r.pick(kNoColumns), world, table);
}

function predicate(r, world, table, depth = 0) {
  const dice = depth > 2 ? 0 : r.next();
  const part = () => predicate(r, world, table, depth + 1);
  if (dice < 0.55) return atom(r, world, table);
  if (dice < 0.7) return `(${part()}) or (${part()})`;
  if (dice < 0.85) return `(${part()}) and (${part()})`;
  if (dice < 0.92) return `not (${part()})`;
  return `case when ${part()} then ${part()} else ${part()} end`;
}

const raising = (r, world, table) => fill(r, r.pick(usable(kRaising, table)), world, table);
const hostile = (r, world, table) => fill(r, r.pick(kHostile), world, table);

const personal = (r, world, table) => fill(r, r.pick(kOfTheUser), world, table);

module.exports = { predicate, raising, hostile, personal };
