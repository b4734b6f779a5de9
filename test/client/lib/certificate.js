'use strict';
// Certificates for a cluster of the test's own (lib/cluster.js), and which one its listener shows.
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const tls = require('node:tls');

// A certificate of this name in the cluster's data directory, as server.crt and server.key. Returns it.
function certify(cluster, name) {
  const file = (end) => path.join(cluster.env.PGDATA, `server.${end}`);
  const [command, ...prefix] = [...cluster.env.AS_POSTGRES.split(' ').filter(Boolean), 'openssl'];
  execFileSync(command, [...prefix, 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', file('key'), '-out', file('crt'),
    '-days', '3650', '-subj', `/CN=${name}`, '-addext', 'subjectAltName=IP:127.0.0.1'], { stdio: 'ignore' });
  fs.chmodSync(file('key'), 0o600);
  return fs.readFileSync(file('crt'), 'utf8');
}

// A handshake; resolves with the name in the certificate.
const connect = (cluster, options = {}) => new Promise((resolve, reject) => {
  const socket = tls.connect({ host: '127.0.0.1', port: cluster.port, rejectUnauthorized: false, ...options }, () => {
    resolve(socket.getPeerCertificate().subject.CN);
    socket.destroy();
  });
  socket.on('error', reject);
});
const nameOf = (cluster) => connect(cluster).catch(() => undefined);

module.exports = { certify, connect, nameOf };
