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
  tail() {
    return `the log ends with ${this.lines().slice(-8).join(' | ')}`;
  }
  // Waits for the line.
  line(text, limit) {
    return waitFor(() => this.count(text) > 0, () => `the log line "${text}"; ${this.tail()}`, limit);
  }
  // Waits for the line and the hint behind it, whole: the server writes both at once, but a reader may come in between.
  hint(text, limit) {
    return waitFor(() => {
      const lines = this.lines();
      const at = lines.findIndex((line) => line.includes(text));
      const whole = at >= 0 && at + 2 < lines.length;
      return whole && /HINT:\s*(.*)/.exec(lines[at + 1])?.[1];
    }, () => `the hint of the log line "${text}"; ${this.tail()}`, limit);
  }
}

module.exports = { Log };
