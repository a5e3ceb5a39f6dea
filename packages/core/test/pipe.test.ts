import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { collect, errnoOf, isStrakeError, openPipe, readAtOnce } from '../src/index.js';

describe('pipes', () => {
  let folder: string;
  let pipe: string;
  before(() => {
    folder = fs.mkdtempSync(join(tmpdir(), 'strake-pipe-'));
    pipe = join(folder, 'pipe');
    execFileSync('mkfifo', [pipe]);
  });
  after(() => fs.rmSync(folder, { recursive: true }));

  it('with nobody at the other end are given up', async () => {
    for (const end of ['read', 'write'] as const) {
      await assert.rejects(openPipe(pipe, end, { patience: 50 }), (error) => errnoOf(error) === 'ENXIO');
    }
  });

  it('with nobody at the other end are left by an abort', async () => {
    for (const end of ['read', 'write'] as const) {
      const controller = new AbortController();
      const opened = openPipe(pipe, end, { signal: controller.signal });
      setImmediate(() => controller.abort());
      await assert.rejects(opened, (error) => isStrakeError(error, 'CANCELLED'));
    }
  });

  it('are read to their end, also where the writer comes later', async () => {
    const opened = openPipe(pipe, 'read');
    const other = fs.openSync(pipe, 'r+');
    const writer = spawn('sh', ['-c', 'echo one; echo two'], { stdio: ['ignore', other, 'ignore'] });
    const ended = once(writer, 'exit'); // or it is a writer of the next test's pipe
    const stream = await opened;
    let text = '';
    for await (const chunk of stream) {
      text += String(chunk);
      if (text === 'one\ntwo\n') break;
    }
    assert.equal(text, 'one\ntwo\n');
    fs.closeSync(other);
    await ended;
  });

  it('whose writer says nothing are left by an abort', async () => {
    const silent = fs.openSync(pipe, 'r+');
    const controller = new AbortController();
    const stream = await openPipe(pipe, 'read', { signal: controller.signal });
    const read = collect(stream, 100);
    setImmediate(() => controller.abort());
    await assert.rejects(read);
    fs.closeSync(silent);
  });

  it('and devices are read at once, as far as the limit goes', () => {
    assert.equal(readAtOnce('/dev/zero', 100_000).length, 100_000);
    assert.equal(readAtOnce('/dev/null', 100).length, 0);
    assert.equal(readAtOnce(pipe, 100).length, 0);
  });

  it('are not read at once where more may come', () => {
    const other = fs.openSync(pipe, 'r+');
    fs.writeSync(other, 'half');
    assert.throws(
      () => readAtOnce(pipe, 100),
      (error) => errnoOf(error) === 'EAGAIN',
    );
    fs.closeSync(other);
  });
});
