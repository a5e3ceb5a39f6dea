import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

import { childrenOf, endRuntime, signalContainer } from '../src/processes.js';

/** Starts a process of several threads, two of which have a child of their own. It tells when they run. */
const PARENT = `
  const { Worker } = require('node:worker_threads');
  const { spawn } = require('node:child_process');
  spawn('sleep', ['98765'], { stdio: 'ignore' });
  new Worker("require('node:child_process').spawn('sleep', ['98765'], { stdio: 'ignore' }).on('spawn', () => process.stdout.write('ready'));",
    { eval: true });
`;

describe('processes', () => {
  it('are found by their parent whatever thread started them, and ended with it', async () => {
    const parent = spawn(process.execPath, ['-e', PARENT], { stdio: ['ignore', 'pipe', 'inherit'] });
    const ended = once(parent, 'exit');
    await once(parent.stdout, 'data');
    const pid = parent.pid ?? assert.fail();
    const children = childrenOf(pid);
    assert.equal(children.length, 2);
    endRuntime(pid);
    // It has buried them, and goes on.
    const gone = (child: number): boolean => {
      try {
        return !process.kill(child, 0);
      } catch {
        return true;
      }
    };
    while (!children.every(gone)) await new Promise(setImmediate);
    await ended;
    assert.deepEqual(childrenOf(pid), []);
  });

  it('without children are killed', async () => {
    const lonely = spawn('sleep', ['98765'], { stdio: 'ignore' });
    const ended = once(lonely, 'exit');
    await once(lonely, 'spawn');
    endRuntime(lonely.pid ?? assert.fail());
    assert.equal((await ended)[1], 'SIGKILL');
  });

  it('of a runtime that is about to become the program are not asked, as they would let the signal go by', async () => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'processes-test-'));
    const file = path.join(folder, 'runc:[2:INIT]');
    fs.symlinkSync('/bin/sh', file);
    const deaf = spawn(file, ['-c', 'trap "echo told; exit 0" TERM; echo ready; while :; do sleep 0.05; done']);
    const ended = once(deaf, 'exit');
    await once(deaf.stdout, 'data');
    signalContainer(deaf.pid ?? assert.fail(), 'SIGTERM');
    assert.equal((await ended)[1], 'SIGKILL');
    fs.rmSync(folder, { recursive: true });
  });
});
