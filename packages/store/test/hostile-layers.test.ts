import assert from 'node:assert/strict';
import { gzipSync } from 'node:zlib';

import { digestOf, isStrakeError, MediaType, type Descriptor, type Digest } from '@strake/core';

import type { TreeView } from '../src/index.js';
import { TypeCode } from '../src/layer/index-format.js';
import { RawEntries } from '../src/layer/raw-entries.js';
import { MergedView } from '../src/layer/tree-view.js';
import type { FileStore } from '../src/store.js';
import { failsWith, withStore } from './support.js';
import { END, entry, gnuLong, header, pax, paxBody } from './tar-build.js';

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  await Promise.resolve();
  yield bytes;
}

async function importBytes(store: FileStore, blob: Buffer, diffId: Digest, mediaType: string): Promise<TreeView> {
  const descriptor: Descriptor = { mediaType, digest: digestOf(blob), size: blob.length };
  await store.layers.import(diffId, descriptor, () => once(blob));
  return store.layers.view([diffId]);
}

function importTar(store: FileStore, parts: readonly Buffer[], end: Buffer = END): Promise<TreeView> {
  const tar = Buffer.concat([...parts, end]);
  return importBytes(store, tar, digestOf(tar), MediaType.ociLayer);
}

/** All of this must be refused with a message that says what is wrong. */
const REFUSED: Readonly<Record<string, readonly [Buffer[], RegExp, Buffer?]>> = {
  'path traversal by a leading .. (CVE-2026-28406)': [[entry('../../etc/passwd', 'x')], /\.\./],
  'path traversal by an inner ..': [[entry('etc/../../x', 'x')], /\.\./],
  'path traversal by a PAX path': [[pax([['path', '../x']]), header('innocent')], /\.\./],
  'path traversal by a GNU long name': [[gnuLong(`../${'x'.repeat(120)}`), header('innocent')], /\.\./],
  'path traversal by a hard link (CVE-2026-23745)': [[entry('stolen', '', '1', { link: '../../etc/shadow' })], /\.\./],
  'an entry below a symlink (CVE-2026-17106)': [
    [entry('esc', '', '2', { link: '/etc' }), entry('esc/x', 'x')],
    /below/,
  ],
  'an entry below a folder replaced by a symlink (CVE-2026-23950)': [
    [entry('d/', '', '5'), entry('d/a', 'x'), entry('d', '', '2', { link: '/etc' }), entry('d/b', 'x')],
    /below/,
  ],
  'an entry below a file': [[entry('f', 'x'), entry('f/x', 'x')], /below/],
  'a hard link through a symlink (CVE-2026-42574, CVE-2026-26960)': [
    [entry('esc', '', '2', { link: '/etc' }), entry('h', '', '1', { link: 'esc/shadow' })],
    /hard link/,
  ],
  'a hard link to a folder': [[entry('d/', '', '5'), entry('h', '', '1', { link: 'd' })], /folder/],
  'a hard link to what comes later': [[entry('h', '', '1', { link: 'f' }), entry('f', 'x')], /hard link/],
  'a size of 8 GiB': [
    [header('big', '0', { sizeField: Buffer.from('77777777777\0') }), Buffer.alloc(512)],
    /cut short in big/,
  ],
  'a size of 2^95': [
    [header('big', '0', { sizeField: Buffer.concat([Buffer.of(0x80, 0x3f), Buffer.alloc(10, 0xff)]) })],
    /size of big/,
  ],
  'a negative size (CVE-2025-58183)': [[header('big', '0', { sizeField: Buffer.alloc(12, 0xff) })], /size of big/],
  'a size that is no number': [[header('big', '0', { sizeField: Buffer.from('zzzzzzzzzzz\0') })], /size of big/],
  'a size with a minus sign': [[header('big', '0', { sizeField: Buffer.from('-0000000777\0') })], /size of big/],
  'a PAX size beyond 64 bits': [[pax([['size', '9'.repeat(40)]]), header('big')], /size of big/],
  'a negative PAX size': [[pax([['size', '-512']]), header('big')], /size of big/],
  'a wrong checksum': [[header('big', '0', { checksum: 1 })], /checksum/],
  'no tar at all': [[Buffer.from('this is no tar. '.repeat(200))], /checksum/],
  'a tar that ends in a file': [[entry('f', 'x'.repeat(3000)).subarray(0, 1500)], /cut short in f/, Buffer.alloc(0)],
  'a tar that ends in a header': [[header('f').subarray(0, 100)], /cut short/, Buffer.alloc(0)],
  'NUL in a PAX path': [[pax([['path', 'a\0b']]), header('innocent')], /NUL/],
  'NUL in a PAX link': [[pax([['linkpath', '/\0b']]), header('s', '2', { link: 'x' })], /NUL/],
  'a path of 100 kB': [[pax([['path', `${'p/'.repeat(50_000)}f`]]), header('innocent')], /longer/],
  'a name of 300 bytes': [[pax([['path', 'n'.repeat(300)]]), header('innocent')], /longer/],
  'a time that is no time': [[pax([['mtime', '9'.repeat(30)]]), header('innocent')], /time of innocent/],
  'a uid of 2^32': [[pax([['uid', '4294967296']]), header('innocent')], /uid of innocent/],
  'a uid of -1': [[pax([['uid', '4294967295']]), header('innocent')], /uid of innocent/],
  'a PAX record that is too long': [[paxBody('9999 path=x\n'), header('innocent')], /PAX/],
  'a PAX record of length 0': [[paxBody('0 path=x\n'), header('innocent')], /PAX/],
  'a PAX record of negative length': [[paxBody('-5 path=x\n'), header('innocent')], /PAX/],
  'a PAX record without length': [[paxBody('path=x\n'), header('innocent')], /PAX/],
  'a PAX record without end': [[paxBody('10 path=xyz'), header('innocent')], /PAX/],
  'a PAX record without equals sign': [[paxBody('8 pathx\n'), header('innocent')], /PAX/],
  'a PAX header of 4 GiB': [[header('pax', 'x', { sizeField: Buffer.from('40000000000\0') })], /PAX/],
  'a GNU long name of 20 MB': [[gnuLong('n'.repeat(20_000_000)), header('innocent')], /too long/],
  'folders nested beyond PATH_MAX': [[entry(`${'d/'.repeat(5000)}bottom`)], /longer/],
  'a device number out of range': [[header('dev', '3', { device: [0o7777777, 0] })], /device number of dev/],
  'an unknown type': [[entry('odd', '', 'Z')], /type/],
  'a sparse map beyond its file': [
    [
      pax([
        ['GNU.sparse.size', '10'],
        ['GNU.sparse.map', '8,10'],
      ]),
      header('sparse', '0', { size: 10 }),
      Buffer.alloc(512),
    ],
    /sparse/,
  ],
  'a sparse file of 8 EiB': [
    [
      pax([
        ['GNU.sparse.size', '9007199254740991'],
        ['GNU.sparse.map', '0,0'],
      ]),
      header('sparse'),
    ],
    /too large/,
  ],
  'a whiteout without a name': [[entry('.wh.')], /whiteout/],
  'an empty link target': [[header('s', '2')], /empty/],
};

describe('hostile layers', () => {
  for (const [attack, [parts, message, end]] of Object.entries(REFUSED)) {
    it(`refuses ${attack}`, () =>
      withStore(async (store) => {
        await assert.rejects(importTar(store, parts, end), failsWith('LAYER_INVALID', message));
        assert.deepEqual(await store.findLeftovers(), []);
      }));
  }

  it('takes absolute names as relative to the root', () =>
    withStore(async (store) => {
      const view = await importTar(store, [entry('/etc//./x', 'x')]);
      assert.deepEqual(
        [...view.walk('')].map(({ path }) => path),
        ['', 'etc', 'etc/x'],
      );
    }));

  it('lets a file replace a symlink, a folder and another file of its layer', () =>
    withStore(async (store) => {
      const view = await importTar(store, [
        entry('a', '', '2', { link: '/etc/passwd' }),
        entry('a', 'new'),
        entry('d/', '', '5'),
        entry('d/below', 'x'),
        entry('d', 'file now'),
        entry('two', '1'),
        entry('two', '22'),
      ]);
      assert.deepEqual([...view.walk('')].map(({ path, type, size }) => [path, type, size]).slice(1), [
        ['a', 'file', 3],
        ['d', 'file', 8],
        ['two', 'file', 2],
      ]);
    }));

  it('keeps the content that a hard link was made of when the first name is replaced', () =>
    withStore(async (store) => {
      const view = await importTar(store, [entry('a', 'one'), entry('b', '', '1', { link: 'a' }), entry('a', 'other')]);
      const text = async (path: string): Promise<string> => {
        const found = view.lookup(path);
        assert.ok(found);
        return (await view.read(found, 10)).toString();
      };
      assert.deepEqual([await text('a'), await text('b')], ['other', 'one']);
    }));

  it('removes nothing behind a symlink by whiteouts and opaque marks (CVE-2026-50163)', () =>
    withStore(async (store) => {
      const base = [entry('bin/', '', '5'), entry('bin/sh', 'x'), entry('l', '', '2', { link: '/bin' })];
      const marks = [entry('l/.wh.sh'), entry('l/.wh..wh..opq')];
      const own = await importTar(store, [...base, ...marks]);
      assert.deepEqual([...own.walk('')].map(({ path, type }) => `${type} ${path}`).slice(1), [
        'directory bin',
        'file bin/sh',
        'symlink l',
      ]);
      const tars = [base, marks].map((parts) => Buffer.concat([...parts, END]));
      for (const tar of tars) await importBytes(store, tar, digestOf(tar), MediaType.ociLayer);
      const chain = await store.layers.view(tars.map((tar) => digestOf(tar)));
      assert.equal(chain.lookup('bin/sh')?.type, 'file');
    }));

  it('ignores global PAX records and marks of aufs', () =>
    withStore(async (store) => {
      const view = await importTar(store, [
        pax([['path', '../x']], 'g'),
        header('innocent'),
        entry('.wh..wh.plnk/1', 'x'),
      ]);
      assert.deepEqual(view.list(''), ['innocent']);
    }));

  it('keeps attributes named like members of objects, and none of overlayfs', () =>
    withStore(async (store) => {
      const records = ['user.a', '__proto__', 'trusted.overlay.opaque', 'user.overlay.redirect', 'user.strake.owner'];
      const view = await importTar(store, [
        pax([
          ...records.map((name) => [`SCHILY.xattr.${name}`, 'y'] as const),
          ['__proto__', 'x'],
          ['constructor', 'y'],
        ]),
        header('f'),
      ]);
      assert.deepEqual(Object.keys(view.lookup('f')?.xattrs ?? {}).sort(), ['__proto__', 'user.a']);
    }));

  it('reads gzip of several members, and ignores what follows the end of a tar', () =>
    withStore(async (store) => {
      const tar = Buffer.concat([entry('f', 'hello'), END, Buffer.from('garbage')]);
      const blob = Buffer.concat([gzipSync(tar.subarray(0, 700)), gzipSync(tar.subarray(700))]);
      const view = await importBytes(store, blob, digestOf(tar), MediaType.ociLayerGzip);
      assert.deepEqual(view.list(''), ['f']);
    }));

  it('refuses gzip that is cut short, and layers of another diff ID', () =>
    withStore(async (store) => {
      const tar = Buffer.concat([entry('f', 'hello'), END]);
      const blob = gzipSync(tar);
      await assert.rejects(
        importBytes(store, blob.subarray(0, -12), digestOf(tar), MediaType.ociLayerGzip),
        failsWith('LAYER_INVALID', /compression/),
      );
      await assert.rejects(
        importBytes(store, blob, digestOf('other'), MediaType.ociLayerGzip),
        failsWith('DIGEST_MISMATCH'),
      );
      assert.equal(await store.layers.info(digestOf('other')), undefined);
    }));

  it('refuses a blob that claims to hold a layer that is known', () =>
    withStore(async (store) => {
      const tar = Buffer.concat([entry('good', 'x'), END]);
      await importTar(store, [entry('good', 'x')]);
      const other = gzipSync(Buffer.concat([entry('evil', 'x'), END]));
      const lie = importBytes(store, other, digestOf(tar), MediaType.ociLayerGzip);
      await assert.rejects(lie, failsWith('DIGEST_MISMATCH', /the layer/));
      await importBytes(store, gzipSync(tar), digestOf(tar), MediaType.ociLayerGzip);
    }));

  it('refuses bytes that are not what the descriptor says', () =>
    withStore(async (store) => {
      const tar = Buffer.concat([entry('f', 'hello'), END]);
      const blob: Descriptor = { mediaType: MediaType.ociLayer, digest: digestOf(tar), size: tar.length };
      const lie = Buffer.alloc(tar.length, 1);
      await assert.rejects(
        store.layers.import(blob.digest, blob, () => once(lie)),
        failsWith('DIGEST_MISMATCH'),
      );
      assert.equal(await store.blobs.size(blob.digest), undefined);
    }));

  it('unpacks bombs of gzip and zstd with bounded memory', async function () {
    this.timeout(60_000);
    await withStore(async (store) => {
      const size = 256 * 2 ** 20;
      const head = header('zeros', '0', { size });
      // A zstd frame of run-length blocks: 4 bytes stand for 128 KiB.
      const blocks = Math.ceil(size / 131_072);
      const body = Buffer.alloc(blocks * 4);
      for (let i = 0; i < blocks; i++) body.writeUInt32LE((131_072 << 3) | 2, i * 4);
      for (let i = 0; i < blocks; i++) body[i * 4 + 3] = 0;
      const rawBlock = (bytes: Buffer, last: boolean): Buffer => {
        const start = Buffer.alloc(4);
        start.writeUInt32LE((bytes.length << 3) | (last ? 1 : 0));
        return Buffer.concat([start.subarray(0, 3), bytes]);
      };
      const blob = Buffer.concat([
        Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0, 0x50]),
        rawBlock(head, false),
        body,
        rawBlock(END, true),
      ]);
      const { createHash } = await import('node:crypto');
      const hash = createHash('sha256').update(head);
      for (let i = 0; i < 256; i++) hash.update(Buffer.alloc(2 ** 20));
      const diffId: Digest = `sha256:${hash.update(END).digest('hex')}`;
      const before = process.memoryUsage().rss;
      const view = await importBytes(store, blob, diffId, MediaType.ociLayerZstd);
      assert.equal(view.lookup('zeros')?.size, size);
      assert.ok(process.memoryUsage().rss - before < 120 * 2 ** 20, 'it took too much memory');
    });
  });

  it('refuses more entries, and more bytes of names, than it has memory for', () => {
    const fill = (limits: { entries: number; names: number }, name: number): number => {
      const entries = new RawEntries(limits);
      const facts = { type: TypeCode.file, flags: 0, mode: 0, uid: 0, gid: 0, size: 0, mtime: 0, offset: 0 };
      for (;;) entries.add({ ...facts, key: Buffer.alloc(name, 'x') });
    };
    assert.throws(() => fill({ entries: 5000, names: 1 << 30 }, 10), /it has more than 5000 entries/);
    assert.throws(() => fill({ entries: 1e9, names: 4 << 20 }, 3000), /its names take more than 4194304 bytes/);
  });

  it('makes a tree of folders nested 1,200 deep without comparing all paths with all', () =>
    withStore(async (store) => {
      const lower = await importTar(store, [entry('d/', '', '5', { mode: 0o700 })]);
      const deep = await importTar(store, [pax([['path', `${'d/'.repeat(1200)}f`]]), header('f')]);
      const view = await store.layers.view([...lower.chain, ...deep.chain]);
      assert.ok(view instanceof MergedView);
      const before = process.cpuUsage();
      const modes = [...view.topLayer()].map(({ entry: one }) => one?.mode);
      assert.deepEqual([modes.length, modes[1], modes[2]], [1202, 0o700, 0o755]);
      // 15 s where each folder was looked up from the root on.
      assert.ok(process.cpuUsage(before).user < 4e6);
    }));

  it('takes 10,000 random damages of a tar without any other failure than its own', async function () {
    this.timeout(120_000);
    const { TarParser } = await import('../src/tar/parser.js');
    const { addForeignEntry } = await import('../src/layer/layer-importer.js');
    const { IndexBuilder } = await import('../src/layer/index-builder.js');
    const good = Buffer.concat([
      entry('d/', '', '5'),
      entry('d/f', 'content'),
      pax([
        ['path', 'long'],
        ['mtime', '12.5'],
        ['SCHILY.xattr.user.a', 'b'],
      ]),
      entry('x', 'y'),
      entry('h', '', '1', { link: 'd/f' }),
      gnuLong('n'.repeat(120)),
      entry('y', 'z'),
      pax([
        ['GNU.sparse.major', '1'],
        ['GNU.sparse.minor', '0'],
        ['GNU.sparse.realsize', '5000'],
        ['GNU.sparse.name', 's'],
      ]),
      entry('s', Buffer.concat([Buffer.from('1\n100\n4\n'.padEnd(512, '\0')), Buffer.from('data')])),
      entry('d/.wh.gone'),
      END,
    ]);
    let seed = 12345;
    const random = (below: number): number => {
      seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
      return Math.floor((seed / 2 ** 32) * below);
    };
    let accepted = 0;
    for (let round = 0; round < 10_000; round++) {
      const tar = Buffer.from(good.subarray(0, random(10) === 0 ? random(good.length) : good.length));
      for (let n = random(4); n >= 0; n--) tar[random(tar.length)] = random(256);
      // Damage that the checksum would catch is the boring kind.
      for (let at = 0; at + 512 <= tar.length; at += 512) {
        if (tar.toString('latin1', at + 257, at + 262) !== 'ustar') continue;
        tar.write(' '.repeat(8), at + 148, 'latin1');
        const sum = tar.subarray(at, at + 512).reduce((total, byte) => total + byte, 0);
        tar.write(`${sum.toString(8).padStart(6, '0')}\0 `, at + 148, 'latin1');
      }
      const entries = new RawEntries();
      const parser = new TarParser((one) => addForeignEntry(entries, one));
      try {
        for (let at = 0; at < tar.length;) {
          const size = 1 + random(2000);
          parser.push(tar.subarray(at, at + size));
          at += size;
        }
        parser.end();
        let bytes = 0;
        for (const chunk of new IndexBuilder(entries).chunks()) bytes += chunk.length;
        assert.ok(bytes > 0);
        accepted++;
      } catch (error) {
        if (!isStrakeError(error, 'LAYER_INVALID')) throw error;
      }
    }
    assert.ok(accepted > 500, `only ${accepted} were accepted`);
  });
});
