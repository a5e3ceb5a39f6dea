import assert from 'node:assert/strict';
import { collect } from '@strake/core';
import { extract, pack } from 'tar-stream';
import { clampTimes } from '../src/outputs/clamp-times.js';

const EPOCH = 1_000_000_000;
const NAME = 'n'.repeat(300);

async function tarOf(): Promise<Buffer> {
  const tar = pack();
  tar.entry({ name: 'early', mtime: new Date(5000) }, 'x'.repeat(1000));
  tar.entry({ name: 'late', mtime: new Date(2e12) }, 'y'.repeat(512));
  tar.entry(
    {
      name: NAME,
      mtime: new Date(2e12),
      pax: { mtime: '2000000000.5', atime: '1', 'SCHILY.xattr.user.a': 'b' },
    },
    'z',
  );
  tar.entry({ name: 'link', type: 'symlink', linkname: 'early', mtime: new Date(2e12) });
  tar.entry({ name: 'folder/', type: 'directory', mtime: new Date(0) });
  tar.finalize();
  return collect(tar as AsyncIterable<Uint8Array>, 1 << 20);
}

async function* inPieces(bytes: Buffer, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield await Promise.resolve(bytes.subarray(at, at + size));
}

describe('rewrite-timestamp', () => {
  it('makes no time later than SOURCE_DATE_EPOCH, and changes nothing else', async () => {
    const tar = await tarOf();
    for (const size of [1, 511, 512, 100_000]) {
      const clamped = await collect(clampTimes(inPieces(tar, size), EPOCH), 1 << 20);
      const found: [string, number, string][] = [];
      const reader = extract();
      reader.end(clamped);
      for await (const entry of reader) {
        const { name, mtime, pax } = entry.header;
        const content = await collect(entry as AsyncIterable<Uint8Array>, 1 << 20);
        found.push([
          name,
          mtime.getTime() / 1000,
          content.toString() +
            Object.keys(pax ?? {})
              .sort()
              .join(),
        ]);
      }
      assert.deepEqual(found, [
        ['early', 5, 'x'.repeat(1000)],
        ['late', EPOCH, 'y'.repeat(512)],
        [NAME, EPOCH, 'zSCHILY.xattr.user.a,path'],
        ['link', EPOCH, ''],
        ['folder/', 0, ''],
      ]);
    }
  });

  it('does so for the times at which files of Windows were made', async () => {
    const tar = pack();
    const birth = (time: string): { pax: Record<string, string> } => ({ pax: { 'LIBARCHIVE.creationtime': time } });
    tar.entry({ name: 'late', ...birth('1700000000.298013953') }, 'x');
    tar.entry({ name: 'early', ...birth('999999999.5') }, 'y');
    tar.finalize();
    const bytes = await collect(tar as AsyncIterable<Uint8Array>, 1 << 20);
    const reader = extract();
    reader.end(await collect(clampTimes(inPieces(bytes, 512), EPOCH), 1 << 20));
    const found: unknown[] = [];
    for await (const entry of reader) {
      found.push([
        entry.header.name,
        (entry.header.pax as Record<string, string> | undefined)?.['LIBARCHIVE.creationtime'],
      ]);
      entry.resume();
    }
    assert.deepEqual(found, [
      ['late', '1000000000.0'],
      ['early', '999999999.5'],
    ]);
  });

  it('leaves an archive without late times as it is', async () => {
    const tar = await tarOf();
    const clamped = await collect(clampTimes(inPieces(tar, 4096), EPOCH), 1 << 20);
    assert.deepEqual(await collect(clampTimes(inPieces(clamped, 4096), EPOCH), 1 << 20), clamped);
  });
});
