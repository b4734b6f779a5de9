'use strict';
// Thousands of sockets that do the same thing at once (test/load/herd.cpp).
const { execFileSync, spawn } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const readline = require('node:readline');
const { cleanup } = require('./cleanup');

const kTest = path.join(__dirname, '../..');

// At most `wanted`, less where a process may not have so many files open.
function possible(wanted) {
  const limit = execFileSync('sh', ['-c', 'ulimit -Hn']).toString().trim();
  return limit === 'unlimited' ? wanted : Math.min(wanted, Number(limit) - 1000);
}

class Herd {
  static start(t, { port, key, table }) {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'realtime-herd.'));
    const program = path.join(folder, 'herd');
    execFileSync(process.env.CXX || 'c++', ['-std=c++20', '-O1', `-I${kTest}`, '-o', program, `${kTest}/load/herd.cpp`, `${kTest}/bench/ws_client.cpp`]);
    const child = spawn(program, [String(port), key, table], { stdio: ['pipe', 'pipe', 'inherit'] });
    cleanup(t, () => {
      child.kill('SIGKILL');
      fs.rmSync(folder, { recursive: true });
    });
    return new Herd(child);
  }

  constructor(child) {
    this.child = child;
    this.lines = readline.createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  }
  // Returns the words of the answer.
  async ask(command) {
    this.child.stdin.write(`${command}\n`);
    const { value = 'failed: it has ended' } = await this.lines.next();
    if (value.startsWith('failed')) throw new Error(`herd, ${command}: ${value}`);
    return value.split(' ');
  }
}

module.exports = { Herd, possible };
