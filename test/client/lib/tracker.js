'use strict';
// A process of its own that tracks itself in a room, to be killed: tracker.js VERSION TOPIC KEY.
const { kVersions, makeClient } = require('./clients');
const { enter } = require('./room');

async function main() {
  const [vsn, topic, key] = process.argv.slice(2);
  if (!kVersions.includes(vsn)) throw new Error(`no version ${vsn}`);
  const forever = { after() {} };  // nothing is undone: the end comes by a signal
  const room = await enter(await makeClient(forever, { vsn }), topic, { config: { presence: { key } } });
  const outcome = await room.channel.track({ process: process.pid });
  if (outcome !== 'ok') throw new Error(`track: ${outcome}`);
}

main().catch((error) => { console.error(error); process.exit(1); });
