'use strict';
// Rounds of random tables: inserted, updated, touched after changes of definitions, deleted; both sides asked each time.
const { sql, rows, one, transaction, publish } = require('../lib/sql');
const { waitFor } = require('../lib/wait');
const { World } = require('./world');
const { RandomTable } = require('./table');
const { Oracle } = require('./oracle');
const { Listeners } = require('./listeners');
const { randomFilter } = require('./filters');
const { compare } = require('./compare');

const kTables = 10;
const kFilteredTables = 3;
const kMutations = 6;

const nothingParked = async () => Number(await one('select parked_rows from realtime.stat_worker')) === 0;

class Rounds {
  constructor(t, r, totals) {
    Object.assign(this, { t, r, totals, marker: 0, tables: 0, history: [] });
  }
  async open() {
    this.world = await World.create(this.t, this.r);
    await publish(`${this.world.schema}.marker`);
    this.listeners = await Listeners.open(this.t, this.world);
    this.oracles = await Promise.all(this.world.identities.map((identity) => Oracle.open(this.t, identity)));
  }

  async round(limit) {
    this.history = [];
    const tables = Array.from({ length: kTables }, () => new RandomTable(this.world, `t${(this.tables += 1)}`));
    await this.define(tables);
    this.before = null;
    for (const table of tables.slice(0, kFilteredTables)) await this.filter(table);
    await this.phase('insert', tables, tables.map((table) => table.inserts()));
    await this.phase('update', tables, tables.map((table) => table.updates()));
    await this.listeners.leaveFiltered();
    for (let i = 0; i < kMutations && this.totals.compared < limit; i += 1) {
      const mutations = Array.from({ length: this.r.chance(0.7) ? 1 : 3 }, () => this.world.mutation(tables));
      const together = this.r.chance(0.3);
      if (!together) await this.mutate(mutations);
      await this.phase('touch', tables, [...(together ? mutations : []), ...tables.map((table) => table.touches())]);
    }
    await this.phase('delete', tables, tables.map((table) => table.deletes()));
    await transaction(tables.map((table) => `drop table ${table.quoted}`));
  }
  async define(tables) {
    const definitions = tables.map((table) => table.definition());
    this.history.push(...definitions);
    await sql(definitions.join(';\n'));
    await publish(...tables.map((table) => table.quoted));
  }
  // A join is refused to those who may not read what they filter by.
  async filter(table) {
    for (const [i, identity] of this.world.identities.entries()) {
      const filter = randomFilter(this.r, table);
      const joined = await this.listeners.joinFiltered(identity, table, filter);
      const readable = await this.oracles[i].mayRead(table, filter.column);
      if (joined !== readable) throw new Error(`${identity.role} ${joined ? 'joined' : 'was refused'} with ${filter.text} on ${table.quoted}`);
    }
  }
  async mutate(mutations) {
    this.history.push(...mutations);
    await sql(mutations.join(';\n'));
  }

  async phase(kind, tables, statements) {
    this.listeners.begin();
    this.history.push(...statements);
    await sql([...statements, this.nextMarker()].join(';\n'));
    const answers = await Promise.all([
      ...this.oracles.map(async (oracle) => {
        const states = new Map();
        for (const table of tables) states.set(table, kind === 'delete' ? null : await oracle.states(table));
        return states;
      }),
      this.settle(),
    ]);
    for (const channel of this.listeners.channels) {
      const { index } = channel.identity;
      await this.judge(kind, channel, channel.table ? [channel.table] : tables, answers[index], this.before?.[index]);
    }
    this.before = answers.slice(0, this.oracles.length);
  }
  nextMarker() {
    this.marker += 1;
    return `insert into ${this.world.schema}.marker values (${this.marker})`;
  }
  // Rows of a table that takes long to judge (on a busy machine, any) come after those of others. What was parked is sent before
  // a marker that is written when nothing is.
  async settle() {
    await this.listeners.until(this.marker);
    do {
      await waitFor(nothingParked, 'nothing to be parked', 60000);
      await sql(this.nextMarker());
      await this.listeners.until(this.marker);
    } while (!(await nothingParked()));
  }
  async judge(phase, channel, tables, after, before) {
    for (const table of tables) {
      const passes = channel.filter && new Set((await rows(`select id from ${table.quoted} where ${channel.filter.condition}`)).map((row) => row.id));
      const now = after.get(table) || new Map(table.ids.map((id) => [id, 'hidden']));
      const heard = this.listeners.of(channel, table);
      const result = compare({ phase, table, identity: channel.identity, passes, before: before?.get(table), after: now, heard });
      this.totals.compared += result.compared;
      this.totals.soft += result.soft.length;
      this.totals.visible += heard.events.size;
      this.totals.raised += heard.errors.length;
      if (result.differences.length > 0) this.report(phase, table, channel, result.differences, heard);
    }
  }
  // What to run to see it again: everything about this table, and what the whole world shares.
  report(phase, table, { identity, filter }, found, heard) {
    const stem = new RegExp(`\\b${table.name.split('_')[0]}(_\\d+)?\\b`);
    const others = /\bt\d+(_\d+)?\b/;
    const story = this.history.filter((statement) => stem.test(statement) || !others.test(statement));
    this.totals.differences.push(`${phase} of ${table.name}: ${found.join('; ')}`);
    if (this.totals.differences.length > 2) return;
    console.log(['', `-- DIFFERENCE in phase ${phase} of ${table.quoted} for ${identity.role}, claims ${JSON.stringify(identity.claims)}${filter ? `, filter ${filter.text}` : ''}:`,
      ...found.map((text) => `--   ${text}`), ...heard.errors.slice(0, 1).map((text) => `--   and ${heard.errors.length} times ${text}`), this.totals.differences.length === 1 ? this.world.setUpText : '', ...story.map((text) => `${text};`)].join('\n'));
  }
}

// False when there was a difference.
async function runRounds(t, r, cases, totals) {
  const rounds = new Rounds(t, r, totals);
  const limit = totals.compared + cases;
  await rounds.open();
  while (totals.compared < limit && totals.differences.length === 0) await rounds.round(limit);
  return totals.differences.length === 0;
}

module.exports = { runRounds };
