import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { crc32, inflateRawSync } from 'node:zlib';

import { collect, digestOf } from '@strake/core';

import { joinCrc32 } from '../src/layer/crc32.js';
import { deflateBlock } from '../src/layer/deflate-block.js';
import { CELL, noiseIn } from '../src/layer/noise.js';
import type { LayerEntry } from '../src/index.js';
import { file, withStore } from './support.js';

/** SIZE bytes without any pattern, always the same. */
function noise(size: number, seed = 'a'): Buffer {
  const parts: Buffer[] = [];
  for (let i = 0; i * 32 < size; i++) parts.push(createHash('sha256').update(`${seed}${i}`).digest());
  return Buffer.concat(parts).subarray(0, size);
}

/** Text that does not repeat itself at once. */
function text(size: number): Buffer {
  let whole = '';
  for (let i = 0; whole.length < size; i++) whole += `line ${i} of ${i * 7919} words\n`;
  return Buffer.from(whole).subarray(0, size);
}

describe('What is noise', () => {
  const cells = (bytes: Buffer): (readonly [number, number])[] =>
    noiseIn(bytes, 0).map(([a, b]) => [a / CELL, b / CELL]);

  it('is what has no pattern, in whole cells', () => {
    assert.deepEqual(cells(Buffer.concat([text(2 * CELL), noise(3 * CELL), text(CELL), noise(CELL + 100)])), [
      [2, 5],
      [6, 7],
    ]);
  });

  it('is not what repeats itself within the window, however even its bytes are', () => {
    const ramp = Buffer.from(Array.from({ length: 4 * CELL }, (_, i) => (i * 31) & 255));
    assert.deepEqual(cells(ramp), []);
    const piece = noise(CELL, 'b');
    assert.deepEqual(cells(Buffer.concat([piece, piece, noise(CELL, 'c')])), [
      [0, 1],
      [2, 3],
    ]);
    assert.deepEqual(cells(Buffer.concat([piece, text(3 * CELL), piece])), [
      [0, 1],
      [4, 5],
    ]);
  });

  it('is told from bytes behind the window alone', () => {
    const piece = noise(CELL, 'd');
    assert.deepEqual(noiseIn(Buffer.concat([piece, piece]), CELL), []);
  });
});

describe('Parts of a deflate stream', () => {
  const whole = Buffer.concat([text(40_000), noise(70_000), text(9), noise(200_000), text(100_000)]);
  const inParts = (bytes: Buffer, size: number, level: number): Buffer => {
    const parts = [];
    for (let at = 0; at < bytes.length; at += size) {
      const end = Math.min(bytes.length, at + size);
      const before = Math.min(at, 32 * 1024);
      parts.push(deflateBlock(bytes.subarray(at - before, end), before, level, end === bytes.length));
    }
    return Buffer.concat(parts);
  };

  it('make one stream, whatever their size and where noise begins and ends', () => {
    for (const level of [0, 1, 3, 9]) {
      for (const size of [65_536, 100_001, 1 << 20])
        assert.ok(inflateRawSync(inParts(whole, size, level)).equals(whole), `level ${level}, ${size} bytes a part`);
    }
  });

  it('may be empty, of noise alone, and end in noise', () => {
    for (const bytes of [Buffer.alloc(0), noise(5 * CELL), Buffer.concat([text(CELL), noise(CELL)])])
      assert.ok(inflateRawSync(deflateBlock(bytes, 0, 3, true)).equals(bytes));
  });

  it('store noise with five bytes for 65,535, and take text from the window', () => {
    const loud = noise(16 * CELL);
    assert.equal(deflateBlock(loud, 0, 3, false).length, loud.length + 5 * Math.ceil(loud.length / 65_535));
    const twice = Buffer.concat([text(30_000), text(30_000)]);
    assert.ok(
      deflateBlock(twice, 30_000, 3, true).length * 4 < deflateBlock(twice.subarray(30_000), 0, 3, true).length,
    );
  });
});

describe('Checksums of pieces', () => {
  it('join to that of the whole', () => {
    const bytes = noise(100_000);
    for (const at of [0, 1, 4096, 65_537, 99_999, 100_000])
      assert.equal(
        joinCrc32(crc32(bytes.subarray(0, at)), crc32(bytes.subarray(at)), bytes.length - at),
        crc32(bytes),
        `cut at ${at}`,
      );
  });
});

describe('A compressed layer', () => {
  it('is one gzip member that gzip(1) and Python read', () =>
    withStore(async (store) => {
      const bytes = Buffer.concat([text(700_000), noise(600_000), text(300), noise(1_000_000, 'e'), text(100_000)]);
      const entry = file('f', '', { size: bytes.length, content: { kind: 'bytes', bytes } });
      const { diffId } = await store.layers.write([entry]);
      const tar = await collect(store.layers.tar(diffId), 1e8);
      const { digest, size } = await store.layers.compress(diffId, 'gzip');
      assert.ok(size < 1_900_000, `${size} bytes`);
      const input = await collect(store.blobs.open(digest), 1e8);
      const python =
        'import sys,zlib; o=zlib.decompressobj(31); p=o.decompress(sys.stdin.buffer.read()); ' +
        'assert o.eof and not o.unused_data; sys.stdout.buffer.write(p)';
      for (const [program, ...args] of [
        ['gzip', '-dc'],
        ['python3', '-c', python],
      ] as const) {
        const { error, status, stdout, stderr } = spawnSync(program, args, { input, maxBuffer: 1e8 });
        if (program === 'python3' && error && 'code' in error && error.code === 'ENOENT') continue;
        assert.equal(status, 0, `${program}: ${String(stderr)}`);
        assert.ok(stdout.equals(tar), `${program} reads something else`);
      }
    }));

  it('has the bytes that it had, on every machine', () =>
    withStore(async (store) => {
      const bytes = Buffer.concat([text(100_000), noise(300_000), text(50)]);
      const entry = file('f', '', { size: bytes.length, content: { kind: 'bytes', bytes } });
      const { diffId } = await store.layers.write([entry]);
      // The stored parts are our own; level 0 stores everything, so that no version of zlib has a part in it.
      const { digest } = await store.layers.compress(diffId, 'gzip', undefined, 0);
      assert.equal(digest, 'sha256:58e245791fc0877248407f99369c9d144ccb59404b5c02592ebf160afba48b6d');
    }));

  it('is given up when the build is', () =>
    withStore(async (store) => {
      const bytes = text(3_000_000);
      const { diffId } = await store.layers.write([
        file('f', '', { size: bytes.length, content: { kind: 'bytes', bytes } }),
      ]);
      const controller = new AbortController();
      const made = store.layers.compress(diffId, 'gzip', controller.signal);
      controller.abort();
      await assert.rejects(made, { code: 'CANCELLED' });
      assert.deepEqual((await store.layers.info(diffId))?.compressed, []);
      assert.equal(
        (await store.layers.compress(diffId, 'gzip')).mediaType,
        'application/vnd.oci.image.layer.v1.tar+gzip',
      );
    }));
});

describe('A layer that is being compressed', () => {
  const entry = (): LayerEntry => {
    const bytes = Buffer.concat([text(900_000), noise(1_500_000), text(200_000)]);
    return file('f', '', { size: bytes.length, content: { kind: 'bytes', bytes } });
  };

  it('can be read by several at once, whoever comes late too, and is named before it is stored', () =>
    withStore(async (store) => {
      const { diffId } = await store.layers.write([entry()]);
      const growing = await store.layers.compressing(diffId, 'gzip');
      assert.ok(growing);
      const [first, second, stored] = await Promise.all([
        collect(growing.open(), 1e8),
        collect(growing.open(), 1e8),
        store.layers.compress(diffId, 'gzip'),
      ]);
      assert.deepEqual(await growing.whole, stored);
      assert.equal(digestOf(first), stored.digest);
      assert.ok(second.equals(first));
      assert.ok((await collect(growing.open(), 1e8)).equals(first));
      assert.equal(await store.layers.compressing(diffId, 'gzip'), undefined);
    }));

  it('fails its readers when it is given up, and nobody else who wants it', () =>
    withStore(async (store) => {
      const { diffId } = await store.layers.write([entry()]);
      const controller = new AbortController();
      const growing = await store.layers.compressing(diffId, 'gzip', controller.signal);
      assert.ok(growing);
      const other = store.layers.compress(diffId, 'gzip');
      const read = collect(growing.open(), 1e8);
      controller.abort(new Error('the registry has refused it'));
      await assert.rejects(read, /refused it/);
      await assert.rejects(growing.whole, /refused it/);
      assert.ok((await store.blobs.size((await other).digest)) !== undefined);
    }));
});
