'use strict';
// A server of the test's own whose system fails on request: the clock, memory, the disk (test/faults.c).
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { execFileSync } = require('node:child_process');
const { cleanup } = require('./cleanup');
const { Cluster } = require('./cluster');

const kSource = path.join(__dirname, '../../faults.c');
// What `make check-asan` gives to every server; its runtime must come first.
const kGiven = process.env.CLUSTER_SERVER_ENV || '';
const kPreloaded = /\bLD_PRELOAD=(\S+)/.exec(kGiven)?.[1];
const kWords = ['clockStep', 'starveEvery', 'starveFrom', 'starved', 'diskFull', 'diskRefusals'];

class Faults {
  // Returns { cluster, faults }.
  static async start(t, conf = '') {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'realtime-faults.'));
    cleanup(t, () => fs.rmSync(folder, { recursive: true }));
    fs.chmodSync(folder, 0o755);
    const file = path.join(folder, 'faults');
    const library = path.join(folder, 'faults.so');
    execFileSync(process.env.CC || 'cc', ['-shared', '-fPIC', '-O1', '-o', library, kSource, '-ldl']);
    fs.writeFileSync(file, Buffer.alloc(8 * kWords.length));
    fs.chmodSync(file, 0o666);
    const serverEnv = `${kGiven} LD_PRELOAD=${kPreloaded ? `${kPreloaded}:` : ''}${library} FAULTS_FILE=${file}`;
    return { cluster: await Cluster.start(t, conf, { serverEnv }), faults: new Faults(file) };
  }

  constructor(file) {
    this.file = file;
  }
  set(word, value) {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(BigInt(value));
    const fd = fs.openSync(this.file, 'r+');
    fs.writeSync(fd, bytes, 0, 8, 8 * kWords.indexOf(word));
    fs.closeSync(fd);
  }
  get(word) {
    return Number(fs.readFileSync(this.file).readBigInt64LE(8 * kWords.indexOf(word)));
  }
}

module.exports = { Faults };
