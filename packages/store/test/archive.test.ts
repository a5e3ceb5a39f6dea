import assert from 'node:assert/strict';
import { statSync } from 'node:fs';

import { bytesOfText, digestOf } from '@strake/core';

import { readArchive } from '../src/archive.js';
import type { Archive } from '../src/index.js';
import { failsWith, file, withStore } from './support.js';
import { END, entry, header, pax } from './tar-build.js';

async function* pieces(bytes: Buffer, size = 700): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield await Promise.resolve(bytes.subarray(at, at + size));
}

describe('archives that ADD unpacks', () => {
  it('are listed as they state themselves, with what is no UTF-8, sparse or named like members of objects', () =>
    withStore(async (store) => {
      const foreign = header(Buffer.from('caf\xe9', 'latin1'), '0', { size: 1 });
      const tar = Buffer.concat([
        entry('../up', 'one'),
        foreign,
        Buffer.from('x'.padEnd(512, '\0')),
        pax([
          ['SCHILY.xattr.__proto__', 'a'],
          ['SCHILY.xattr.user.b', Buffer.from([0xff, 0])],
          ['uid', '3000000'],
        ]),
        entry('a', 'two'),
        pax([
          ['GNU.sparse.major', '1'],
          ['GNU.sparse.minor', '0'],
          ['GNU.sparse.realsize', '5000'],
          ['GNU.sparse.name', 's'],
        ]),
        entry('GNUSparseFile.0/s', Buffer.concat([Buffer.from('1\n100\n4\n'.padEnd(512, '\0')), Buffer.from('data')])),
        END,
      ]);
      const archive: Archive = await store.archive(pieces(tar));
      assert.equal(archive.blob, digestOf(tar));
      assert.deepEqual(
        archive.entries.map(({ name, size, uid }) => [bytesOfText(name).toString('latin1'), size, uid]),
        [
          ['../up', 3, 0],
          ['caf\xe9', 1, 0],
          ['a', 3, 3_000_000],
          ['s', 5000, 0],
        ],
      );
      const [up, , a, s] = archive.entries;
      assert.deepEqual(Object.entries(a?.xattrs ?? {}), [
        ['__proto__', 'a'],
        ['user.b', '\xff\0'],
      ]);
      assert.deepEqual(s?.segments, [[100, 4]]);
      assert.equal(tar.toString('latin1', up?.offset, (up?.offset ?? 0) + 3), 'one');
    }));

  it('that are bombs of headers or names are refused, as are those cut short', () =>
    withStore(async (store) => {
      const read = (tar: Buffer): Promise<Archive> =>
        readArchive(store.blobs, pieces(tar), undefined, { entries: 10, text: 1000 });
      const many = Buffer.concat(Array.from({ length: 11 }, () => header('x')));
      await assert.rejects(read(many), failsWith('LAYER_INVALID', /too many entries/));
      const long = Buffer.concat(Array.from({ length: 6 }, (_, i) => entry(`${i}${'n'.repeat(200)}`)));
      await assert.rejects(read(long), failsWith('LAYER_INVALID', /too large/));
      await assert.rejects(read(entry('f', 'x'.repeat(600)).subarray(0, 900)), failsWith('LAYER_INVALID', /cut short/));
      assert.deepEqual(await store.findLeftovers(), []);
    }));

  it('of a gigabyte of zeros do not fill the disk', () =>
    withStore(async (store) => {
      const size = 32 << 20;
      const { blob } = await store.archive(pieces(Buffer.concat([entry('zeros', Buffer.alloc(size)), END]), 1 << 20));
      assert.ok(statSync(store.blobs.path(blob)).blocks * 512 < 4 << 20);
      assert.equal(await store.blobs.size(blob), size + 512 + 1024);
    }));

  it('and contexts bring no attributes of overlayfs or of ours into a layer', () =>
    withStore(async (store) => {
      const xattrs = {
        'user.a': 'x',
        'user.overlay.redirect': '/etc',
        'trusted.overlay.opaque': 'y',
        'user.strake.owner': '0:0',
      };
      const { diffId } = await store.layers.write([file('f', 'x', { xattrs })]);
      const view = await store.layers.view([diffId]);
      assert.deepEqual(view.lookup('f')?.xattrs, { 'user.a': 'x' });
    }));
});
