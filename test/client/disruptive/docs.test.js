'use strict';
// The pages in docs/ do what they say: every SQL block runs, in order, on a fresh server; settings and links exist.
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const test = require('node:test');
const assert = require('node:assert/strict');
const { Cluster } = require('../lib/cluster');
const { waitFor } = require('../lib/wait');

const kRoot = path.join(__dirname, '../../..');
const kDocs = path.join(kRoot, 'docs');
const kPages = ['README.md', ...fs.readdirSync(kDocs).filter((name) => name.endsWith('.md')).map((name) => `docs/${name}`)];

const read = (page) => fs.readFileSync(path.join(kRoot, page), 'utf8');

// { language, text, line } of each fenced block; one that belongs to a list item is indented.
function blocks(page) {
  return [...read(page).matchAll(/^( *)```(\w+)\n([\s\S]*?)^\1```$/gm)].map((match) => ({
    language: match[2],
    text: match[3].replaceAll(new RegExp(`^${match[1]}`, 'gm'), ''),
    line: read(page).slice(0, match.index).split('\n').length,
  }));
}

// As a person would: each block at a psql prompt of its own, as superuser.
function psql(cluster, text, options = []) {
  const env = { ...process.env, ...cluster.env };
  return execFileSync('psql', ['-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', ...options], { env, input: text, stdio: ['pipe', 'pipe', 'pipe'] }).toString();
}

function runBlock(cluster, page, block) {
  try {
    return psql(cluster, block.text);
  } catch (error) {
    throw new Error(`${page}:${block.line}: ${error.stderr}\n${block.text}`);
  }
}

const sqlBlocks = (page) => blocks(page).filter((block) => block.language === 'sql');

// What a page takes for granted, besides the extension and its roles.
const kGiven = {
  'README.md': 'create table public.messages (id int primary key); create table public.items (id int primary key)',
  'docs/security.md': 'select 1',
  'docs/monitoring.md': 'create table public.todos (id int primary key); grant select on public.todos to anon',
  'docs/migration.md': 'select 1',
  'docs/protocol-extensions.md': 'select 1',
};

for (const [page, given] of Object.entries(kGiven)) {
  test(`every SQL block of ${page} runs, and the server serves afterwards`, async (t) => {
    const cluster = await Cluster.start(t, '', { extension: false });
    await cluster.sql(`create role anon; create role authenticated; create role service_role bypassrls; ${given}`);
    // The README makes the extension itself.
    if (page !== 'README.md') await cluster.sql('create extension realtime; select realtime.install_supabase_roles()');
    for (const block of sqlBlocks(page)) runBlock(cluster, page, block);
    const typos = await cluster.sql("select name from pg_settings where name like 'realtime.%' and short_desc is null");
    assert.deepEqual(typos, [], 'every setting exists');
    await cluster.set('realtime.ssl', 'off');
    await cluster.delivers(t);
  });
}

test('every page is among those', () => {
  const withSql = kPages.filter((page) => sqlBlocks(page).length > 0 && page !== 'docs/install.md');
  assert.deepEqual(withSql.filter((page) => !(page in kGiven)), []);
  assert.ok(sqlBlocks('docs/security.md').length > 10, 'blocks are found');
});

test('docs/install.md, from a server without the library to one without it again', async (t) => {
  const page = 'docs/install.md';
  const secret = 'c0ffee00c0ffee00c0ffee00c0ffee00';
  const cluster = await Cluster.start(t, "shared_preload_libraries = ''\nwal_level = replica\nrealtime.jwt_secret = ''", { extension: false });
  fs.writeFileSync(path.join(cluster.env.PGDATA, 'realtime.key'), `${secret}\n`, { mode: 0o644 });
  const publications = async () => (await cluster.sql('select pubname from pg_publication')).map((row) => row.pubname);
  let created = false;
  for (const block of blocks(page)) {
    if (block.language === 'sql') {
      runBlock(cluster, page, block);
      if (block.text.includes('CREATE EXTENSION')) created = true;
      if (block.text.includes('DROP EXTENSION')) {
        await waitFor(async () => (await publications()).length === 1, 'the publication of realtime.messages to be dropped');
      }
    }
    if (block.language === 'sh' && block.text.includes('systemctl restart')) cluster.restart();
    if (block.language === 'sh' && block.text.includes('/healthcheck')) {
      assert.ok(created);
      await waitFor(async () => (await fetch(`http://127.0.0.1:${cluster.port}/healthcheck`).catch(() => null))?.status === 200, 'the worker to serve');
      // The page's token, made by the page's program.
      const program = path.join(cluster.directory, 'token.mjs');
      fs.writeFileSync(program, blocks(page).find((other) => other.language === 'js').text);
      cluster.env.ANON_KEY = execFileSync(process.execPath, [program, path.join(cluster.env.PGDATA, 'realtime.key'), 'anon']).toString().trim();
      await cluster.delivers(t);
      await cluster.sql('select realtime.unpublish(\'proof\'); drop table proof');
    }
  }
  assert.ok(created);
  assert.deepEqual(await cluster.sql("select 1 from pg_extension where extname = 'realtime'"), []);
  assert.deepEqual(await publications(), ['supabase_realtime']);
  assert.deepEqual(await cluster.sql("select 1 from pg_stat_activity where backend_type = 'realtime worker'"), []);
});

// GitHub's anchors: lower case, no punctuation, dashes for blanks.
const anchors = (page) => [...read(page).replaceAll(/^```[\s\S]*?^```$/gm, '').matchAll(/^#+ (.*)$/gm)]
  .map(([, title]) => title.toLowerCase().replaceAll(/[^\w\- ]/g, '').replaceAll(' ', '-'));

test('links between the pages lead somewhere', () => {
  const broken = [];
  for (const page of kPages) {
    for (const [, target] of read(page).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^https?:/.test(target)) continue;
      const [file, anchor] = target.split('#');
      const to = file ? path.join(path.dirname(page), file) : page;
      if (!fs.existsSync(path.join(kRoot, to)) || (anchor && !anchors(to).includes(anchor))) broken.push(`${page}: ${target}`);
    }
  }
  assert.deepEqual(broken, []);
});

test('what the pages call realtime.something exists', async (t) => {
  const cluster = await Cluster.start(t);
  const named = new Set(kPages.flatMap((page) => [...read(page).matchAll(/`(?:SELECT (?:\* FROM )?)?(realtime\.[a-z_]+)/g)].map((match) => match[1])));
  for (const file of ['realtime.key', 'realtime.control']) named.delete(file);
  assert.ok(named.size > 30, 'names are found');
  const unknown = [];
  for (const name of named) {
    const [{ known }] = await cluster.sql(`select current_setting('${name}', true) is not null or to_regclass('${name}') is not null
      or to_regproc('${name}') is not null as known`);
    if (!known) unknown.push(name);
  }
  assert.deepEqual(unknown, []);
});
