'use strict';
// One phase's answers of both sides. A difference is a text that says what was wrong.

// The state of the row that an event of this phase is judged by.
const judged = (phase, table, before, after) => {
  if (phase !== 'delete') return after;
  return table.full ? before : (before === 'denied' ? 'denied' : 'visible');
};

// A planner that estimates costs calls functions whose answer it may not need, and they may raise.
const unclear = (table, state) => state === 'raises' && !table.single;

function compareOld(phase, table, event, before) {
  if (!table.full || !event.old_record || phase === 'insert' || unclear(table, before)) return null;
  const whole = 'touch' in event.old_record;
  if (whole && before !== 'visible') return `the old row, ${before} to the session, was sent`;
  return null;
}

// `passes`: the rows that the channel's filter lets through, if it has one. Returns
// { compared, differences, soft }: soft are errors that only one side met on its way to hiding a row.
function compare({ phase, table, identity, passes, before, after, heard }) {
  const differences = [];
  // auth.uid() raises for an odd identity, or not, as the plans inside functions have it: custom or generic.
  const mayRaise = identity.odd && !table.single && heard.errors.length > 0;
  let raised = 0;
  for (const id of table.ids) {
    const earlier = before ? before.get(id) : 'hidden';
    const due = passes && !passes.has(id) ? 'hidden' : judged(phase, table, earlier, after.get(id));
    const event = heard.events.get(id);
    if (due === 'raises' || (phase === 'update' && table.full && due === 'visible' && earlier === 'raises')) raised += 1;
    if (event && due !== 'visible' && !unclear(table, due)) differences.push(`row ${id} is ${due} to the session and was sent`);
    // An old row alone cannot be asked for: what is not known is not shown.
    const silent = (phase === 'delete' && table.full && table.asksTable) || (phase === 'update' && earlier === 'raises') || mayRaise;
    if (!event && due === 'visible' && !silent) differences.push(`row ${id} is visible to the session and was not sent`);
    if (event) {
      const old = compareOld(phase, table, event, phase === 'touch' ? after.get(id) : earlier);
      if (old) differences.push(`row ${id}: ${old}`);
    }
  }
  for (const id of heard.twice) differences.push(`row ${id} was sent twice`);
  for (const error of heard.errors) {
    if (!error.includes('RLS policy evaluation failed')) differences.push(`unexpected error ${error}`);
  }
  const wrong = heard.errors.length !== raised ? [`${heard.errors.length} error events, ${raised} errors in the session`] : [];
  const exact = table.single;
  return { compared: table.ids.length, differences: exact ? [...differences, ...wrong] : differences, soft: exact ? [] : wrong };
}

module.exports = { compare };
