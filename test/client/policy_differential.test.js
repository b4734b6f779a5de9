'use strict';
// The policy engine against PostgreSQL: what the worker sends a subscriber is what a session of that role with those claims
// may SELECT, for random tables, policies, rows and identities, also right after random changes of definitions.
// POLICY_CASES: how many (identity, row) pairs at least; POLICY_SEED: the first world's seed.
const test = require('node:test');
const assert = require('node:assert/strict');
const { Random } = require('./policies/random');
const { runRounds } = require('./policies/rounds');

const kCases = Number(process.env.POLICY_CASES || 5000);
const kSeed = Number(process.env.POLICY_SEED || Math.floor(Math.random() * 2 ** 31));
const kCasesPerWorld = 50000;

test(`the worker answers as a session does (POLICY_SEED=${kSeed})`, { timeout: 24 * 3600 * 1000 }, async (t) => {
  const totals = { compared: 0, soft: 0, raised: 0, visible: 0, differences: [] };
  let passed = true;
  for (let seed = kSeed; passed && totals.compared < kCases; seed += 1) {
    passed = false;
    await t.test(`world ${seed}`, async (world) => {
      passed = await runRounds(world, new Random(seed), Math.min(kCasesPerWorld, kCases - totals.compared), totals);
    });
    if (kCases > kCasesPerWorld) console.log(`# seed ${seed}: ${totals.compared} compared, ${totals.visible} visible, ${totals.raised} raised, ${totals.soft} soft`);
  }
  t.diagnostic(`${totals.compared} compared, ${totals.visible} of them visible, ${totals.raised} raised; seed ${kSeed}`);
  assert.deepEqual(totals.differences, []);
  assert.ok(totals.compared >= kCases && totals.visible > kCases / 20 && totals.visible < totals.compared, JSON.stringify(totals));
});
