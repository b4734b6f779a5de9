'use strict';
// Policies of realtime.messages. The table is everybody's: each policy of a test must speak of topics of its own only.
const { sql, uniqueName } = require('./sql');
const { cleanup } = require('./cleanup');

const kMessages = 'realtime.messages';

// `policies`: the part after CREATE POLICY name ON realtime.messages, dropped with the test.
async function withPolicies(t, ...policies) {
  const names = policies.map(() => uniqueName('p_'));
  cleanup(t, () => sql(names.map((name) => `drop policy if exists ${name} on ${kMessages}`).join('; ')));
  for (const [index, policy] of policies.entries()) await sql(`create policy ${names[index]} on ${kMessages} ${policy}`);
  return names;
}

const text = (value) => `'${value.replaceAll("'", "''")}'`;
const mayRead = (topic, condition = 'true', role = 'authenticated') =>
  `for select to ${role} using (realtime.topic() = ${text(topic)} and (${condition}))`;
const mayWrite = (topic, condition = 'true', role = 'authenticated') =>
  `for insert to ${role} with check (realtime.topic() = ${text(topic)} and (${condition}))`;

module.exports = { withPolicies, mayRead, mayWrite, kMessages };
