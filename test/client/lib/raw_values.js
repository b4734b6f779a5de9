'use strict';

// The values of the first object called `key` in a frame's text, exactly as they stand there: digits, zeros and blanks that
// JSON.parse would lose.
function rawValues(text, key = 'record') {
  const start = text.indexOf(`"${key}"`);
  const body = text.slice(text.indexOf('{', start));
  const values = {};
  let depth = 0, inString = false, token = '', name = null;
  for (let i = 1; i < body.length; i += 1) {
    const c = body[i];
    if (inString) {
      token += c === '\\' ? c + body[++i] : c;
      inString = c !== '"';
      continue;
    }
    if (depth === 0 && (c === ',' || c === '}')) {
      if (name !== null) values[name] = token.trim();
      name = null;
      token = '';
      if (c === '}') break;
      continue;
    }
    if (depth === 0 && c === ':' && name === null) { name = JSON.parse(token); token = ''; continue; }
    if (c === '"') inString = true;
    if ('[{'.includes(c)) depth += 1;
    if (']}'.includes(c)) depth -= 1;
    token += c;
  }
  return values;
}

module.exports = { rawValues };
