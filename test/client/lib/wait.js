'use strict';

const kLimit = 15000;
const kStep = 10;

// Resolves with the first truthy value of `condition` (which may be async); rejects with `what` after `limit` ms.
// `what` may be a function, so that the failure shows the state at its end.
async function waitFor(condition, what = 'condition', limit = kLimit) {
  const end = Date.now() + limit;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > end) {
      throw new Error(`timed out after ${limit} ms waiting for ${typeof what === 'function' ? what() : what}`);
    }
    await new Promise((resolve) => setTimeout(resolve, kStep));
  }
}

module.exports = { waitFor, kLimit };
