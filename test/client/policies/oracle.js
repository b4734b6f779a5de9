'use strict';
// What PostgreSQL itself says: the rows that a session of an identity may SELECT.
const { connect } = require('../lib/sql');

const text = (value) => (typeof value === 'string' ? value : '');

class Oracle {
  static async open(t, identity) {
    const oracle = new Oracle();
    const claims = Buffer.from(identity.token.split('.')[1], 'base64url').toString();
    oracle.settings = [identity.role, claims, text(identity.claims.sub)];
    oracle.client = await connect(t);
    await oracle.enter();
    return oracle;
  }
  // As the worker sets them before it judges a row.
  async enter() {
    await this.client.query('reset all; reset role');
    await this.client.query(`select set_config('role', $1, false), set_config('request.jwt.claims', $2, false),
      set_config('request.jwt.claim.sub', $3, false), set_config('request.jwt.claim.role', $1, false)`, this.settings);
  }

  // id -> 'visible', 'hidden', 'raises' or 'denied'.
  async states(table) {
    if (!table.hostile) {
      const result = await this.ask(`select id from only ${table.quoted}`, table);
      if (result.denied) return new Map(table.ids.map((id) => [id, 'denied']));
      if (result.rows) {
        const seen = new Set(result.rows.map((row) => row.id));
        return new Map(table.ids.map((id) => [id, seen.has(id) ? 'visible' : 'hidden']));
      }
    }
    const states = new Map();
    for (const id of table.ids) states.set(id, await this.state(table, id));
    return states;
  }
  async mayRead(table, column) {
    const { rows } = await this.client.query(`select has_column_privilege('${table.quoted}', '${column}', 'select') as readable`);
    return rows[0].readable;
  }
  async state(table, id) {
    if (table.hostile) await this.enter();
    const result = await this.ask(`select id from only ${table.quoted} where id = ${id}`, table);
    if (table.hostile) await this.enter();
    if (result.denied) return 'denied';
    if (!result.rows) return 'raises';
    return result.rows.length > 0 ? 'visible' : 'hidden';
  }
  // Without a right on the table itself no event is due; without one on what a policy reads, an error is. Planning, which may
  // raise, comes before the session's check of rights.
  async ask(statement, table) {
    try {
      return { rows: (await this.client.query(statement)).rows };
    } catch (error) {
      return { error, denied: !await this.mayRead(table, 'id') };
    }
  }
}

module.exports = { Oracle };
