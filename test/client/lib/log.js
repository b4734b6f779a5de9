'use strict';
// What the server's log says. It is where the runner says it is until a test restarts the server (lib/server.js).
const fs = require('node:fs');
const env = require('./env');
const { waitFor } = require('./wait');

const files = () => [process.env.REALTIME_LOG, env.pgData && `${env.pgData}/client-tests.log`].filter(Boolean);

class Log {
  // Lines from now on only.
  constructor(paths = files()) {
    this.paths = paths;
    this.begin = new Map(paths.map((file) => [file, fs.existsSync(file) ? fs.statSync(file).size : 0]));
  }
  lines() {
    const texts = this.paths.filter(fs.existsSync).map((file) => fs.readFileSync(file).subarray(this.begin.get(file)).toString());
    return texts.join('').split('\n');
  }
  count(text) {
    return this.lines().filter((line) => line.includes(text)).length;
  }
  // Waits for the line; returns the hint that follows it, or ''.
  async line(text, limit) {
    const find = () => this.lines().findIndex((line) => line.includes(text));
    await waitFor(() => find() >= 0, () => `the log line "${text}"; the log ends with ${this.lines().slice(-8).join(' | ')}`, limit);
    const next = this.lines()[find() + 1] || '';
    return next.includes('HINT:') ? next.replace(/.*HINT:\s*/, '') : '';
  }
}

module.exports = { Log };
