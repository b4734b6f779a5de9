'use strict';

// Undo steps of a test, run last-in first-out whatever happened, each once. A failing step does not stop the others.
const stacks = new WeakMap();

function cleanup(t, step) {
  let stack = stacks.get(t);
  if (!stack) {
    stack = [];
    stacks.set(t, stack);
    t.after(() => unwind(stack));
  }
  stack.push(step);
}

async function unwind(stack) {
  let failure = null;
  while (stack.length > 0) {
    try {
      await stack.pop()();
    } catch (error) {
      failure = failure || error;
    }
  }
  if (failure) throw failure;
}

module.exports = { cleanup };
