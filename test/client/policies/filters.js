'use strict';
// Random filters of a binding, and what they mean in SQL.
const { quote, kUsers, kOrgs } = require('./columns');

const kOperators = { eq: '=', neq: '<>', lt: '<', gte: '>=' };
const kFiltered = {
  owner: (r) => r.pick(kUsers), team: (r) => r.between(0, 4), level: (r) => r.between(0, 5), small: (r) => r.between(0, 4),
  wide: (r) => r.between(0, 2), org: (r) => r.pick(kOrgs), label: (r) => r.pick(kOrgs), score: (r) => r.pick(['0', '1.5']), id: (r) => r.between(1, 8),
};

// { column, text, condition }
function randomFilter(r, table) {
  const column = r.pick(['id', ...table.columns.map((each) => each.name).filter((name) => kFiltered[name])]);
  const value = () => kFiltered[column](r);
  if (r.chance(0.25)) {
    const list = [value(), value()];
    return { column, text: `${column}=in.(${list})`, condition: `${column} in (${list.map(quote)})` };
  }
  const operator = r.chance(0.7) ? 'eq' : r.pick(Object.keys(kOperators));
  const operand = value();
  return { column, text: `${column}=${operator}.${operand}`, condition: `${column} ${kOperators[operator]} ${quote(operand)}` };
}

module.exports = { randomFilter };
