'use strict';
// The binary frames of protocol 2.0.0, byte by byte: broadcasts from a client (kind 3) and to one (kind 4).
const kBytes = 0;
const kJson = 1;

const kPush = 3;
const kDelivered = 4;

// `payload`: a string or bytes; goes as it is.
function pushFrame({ join_ref = '', ref = '', topic, event, metadata = '', encoding = kJson, payload }) {
  const names = [join_ref, ref, topic, event, metadata].map((name) => Buffer.from(name));
  return Buffer.concat([Buffer.from([kPush, ...names.map((name) => name.length), encoding]), ...names, Buffer.from(payload)]);
}

// What the server has to send for such a message.
function deliveredFrame({ topic, event, metadata = '', encoding = kJson, payload }) {
  const names = [topic, event, metadata].map((name) => Buffer.from(name));
  return Buffer.concat([Buffer.from([kDelivered, ...names.map((name) => name.length), encoding]), ...names, Buffer.from(payload)]);
}

function readDelivered(frame) {
  const [kind, topicLength, eventLength, metadataLength, encoding] = frame;
  if (kind !== kDelivered) throw new Error(`kind ${kind} instead of ${kDelivered}`);
  let end = 5;
  const take = (length) => frame.subarray(end, (end += length)).toString();
  const message = { topic: take(topicLength), event: take(eventLength), metadata: take(metadataLength), encoding };
  return { ...message, payload: frame.subarray(end) };
}

module.exports = { pushFrame, deliveredFrame, readDelivered, kBytes, kJson };
