import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';

import { TarSink } from '../src/tar/sink.js';
import { PIECE } from '../src/tar/tar-file.js';
import { TarRelay, type RelayedTar } from '../src/tar/tar-relay.js';

/** More pieces than are kept back, and more than may be on their way. */
const MANY = 200;

describe('a tar that another thread writes', () => {
  let scratch = '';
  let writer: Worker;
  let sent = 0;
  const send = (tar: RelayedTar): void => {
    sent++;
    writer.postMessage(tar);
  };

  before(() => {
    scratch = fs.mkdtempSync(join(os.tmpdir(), 'strake-relay-'));
    writer = new Worker(new URL('../src/worker.js', import.meta.url), { workerData: 'writes tars' });
  });

  beforeEach(() => {
    sent = 0;
  });

  after(async () => {
    await writer.terminate();
    fs.rmSync(scratch, { recursive: true });
  });

  /** Bytes that differ from piece to piece, with pieces of zeros among them and at the end. */
  function contents(count: number): Buffer {
    const bytes = Buffer.alloc(count * PIECE);
    for (let piece = 0; piece < count - 2; piece++) {
      if (piece % 7 !== 3) bytes.fill(`piece ${piece} `, piece * PIECE, (piece + 1) * PIECE);
    }
    return bytes;
  }

  it('has the same bytes and the same digest', () => {
    for (const [name, count] of [
      ['large', MANY],
      ['small', 3],
    ] as const) {
      sent = 0;
      const bytes = contents(count);
      const path = join(scratch, name);
      const sink = new TarSink(path, undefined, send);
      // Of a length that fits into no piece.
      for (let at = 0; at < bytes.length; at += 100_000) sink.write(bytes.subarray(at, at + 100_000));
      const made = sink.finishBytes({ sync: false });
      assert.deepEqual(made, {
        digest: `sha256:${createHash('sha256').update(bytes).digest('hex')}`,
        size: bytes.length,
      });
      assert.ok(fs.readFileSync(path).equals(bytes), name);
      assert.equal(sent, name === 'large' ? 1 : 0, 'a thread is asked for where it pays');
    }
  });

  it('is given up at any time, and the thread is there for the next one', () => {
    for (const count of [1, MANY / 2, MANY]) {
      const path = join(scratch, `given up ${count}`);
      const sink = new TarSink(path, undefined, send);
      sink.write(contents(count));
      sink.abandon();
      sink.abandon();
    }
    const sink = new TarSink(join(scratch, 'next'), undefined, send);
    sink.write(contents(MANY));
    assert.equal(sink.finishBytes({ sync: true }).size, MANY * PIECE);
  });

  it('is refused where the disk is full, however late that shows', () => {
    const fd = fs.openSync('/dev/full', 'w');
    try {
      for (const count of [MANY, 40, 1]) {
        const relay = new TarRelay('/dev/full', fd, send);
        assert.throws(
          () => {
            for (let piece = 0; piece < count; piece++) {
              relay.piece.fill(1);
              relay.pass(PIECE);
            }
            relay.end();
          },
          { code: 'DISK_FULL' },
          `${count} pieces`,
        );
        relay.stop();
      }
    } finally {
      fs.closeSync(fd);
    }
  });
});
