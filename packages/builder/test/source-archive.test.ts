import { isStrakeError } from '@strake/core';
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import { join } from 'node:path';

import { looksLikeArchive, unpackContext } from '../src/source/archive-folder.js';
import { once, tarOf, type Entry } from './support/tar.js';

describe('archives of contexts', () => {
  let outer: string;
  let root: string;
  const { signal } = new AbortController();
  beforeEach(() => {
    outer = fs.mkdtempSync(join(os.tmpdir(), 'strake-archive-'));
    root = join(outer, 'root');
    fs.mkdirSync(root);
    fs.writeFileSync(join(outer, 'victim'), 'untouched');
  });
  afterEach(() => {
    assert.equal(fs.readFileSync(join(outer, 'victim'), 'utf8'), 'untouched');
    assert.deepEqual(fs.readdirSync(outer).sort(), ['root', 'victim']);
    fs.rmSync(outer, { recursive: true });
  });

  const unpack = async (entries: readonly Entry[]): ReturnType<typeof unpackContext> =>
    unpackContext(once(await tarOf(entries)), root, signal);
  const read = (name: string): string => fs.readFileSync(join(root, name), 'utf8');
  const mode = (name: string): number => fs.lstatSync(join(root, name)).mode & 0o7777;

  it('keep modes, times and links', async () => {
    const mtime = new Date(1_500_000_000_000);
    const unpacked = await unpack([
      { name: './', type: 'directory', mode: 0o700, mtime },
      { name: 'closed/', type: 'directory', mode: 0o555, mtime },
      { name: 'closed/f', mode: 0o6755, mtime, uid: 12345, content: 'f' },
      { name: 'deep/down/g', mode: 0o100, mtime, content: 'g' },
      { name: 'hard', type: 'link', linkname: 'closed/f', mode: 0o6755, mtime },
      { name: 'soft', type: 'symlink', linkname: '../../victim', mtime },
      { name: 'null', type: 'character-device', devmajor: 1, devminor: 3 },
      { name: 'pipe', type: 'fifo' },
    ]);
    assert.equal(unpacked.newest, 1_500_000_000);
    assert.deepEqual(fs.readdirSync(root).sort(), ['closed', 'deep', 'hard', 'null', 'pipe', 'soft']);
    assert.deepEqual(
      ['.', 'closed', 'closed/f', 'deep/down', 'deep/down/g'].map(mode),
      [0o755, 0o555, 0o6755, 0o755, 0o100],
    );
    assert.equal(fs.statSync(join(root, 'closed')).mtimeMs, mtime.getTime());
    assert.equal(fs.lstatSync(join(root, 'soft')).mtimeMs, mtime.getTime());
    assert.equal(fs.statSync(join(root, 'hard')).ino, fs.statSync(join(root, 'closed/f')).ino);
    assert.equal(fs.statSync(join(root, 'closed/f')).uid, process.getuid?.());
    unpacked.restoreModes();
    assert.equal(mode('closed'), 0o700);
  });

  it('take the last of several entries with one name', async () => {
    await unpack([
      { name: 'a', content: 'file' },
      { name: 'a/b', type: 'directory' },
    ]).then(
      () => assert.fail('a file was taken for a folder'),
      (error: unknown) => assert.ok(isStrakeError(error, 'CONTEXT_UNREADABLE')),
    );
    await unpack([
      { name: 'd/x', content: '1' },
      { name: 'd', content: '2' },
      { name: 's', type: 'symlink', linkname: '../victim' },
      { name: 's', content: '3' },
      { name: 't', type: 'symlink', linkname: '..' },
      { name: 't', type: 'directory', mode: 0o755 },
      { name: 't/u', content: '4' },
    ]);
    assert.deepEqual(['d', 's', 't/u'].map(read), ['2', '3', '4']);
  });

  it('have no more pipes than can be made in a moment', async () => {
    const pipes = Array.from({ length: 101 }, (): Entry => ({ name: 'same', type: 'fifo' }));
    await assert.rejects(unpack(pipes), /too many pipes, more than 100/);
  });

  it('have no more extended attributes than are to be kept in memory', async () => {
    const pax = { 'SCHILY.xattr.user.a': 'v'.repeat(1_000_000) };
    const files = Array.from({ length: 68 }, (_, n): Entry => ({ name: `${n}`, content: '', pax }));
    await assert.rejects(unpack(files), /too many extended attributes, more than 64 MiB/);
  });

  it('cannot leave their folder by .. or a leading slash (CVE-2026-28406)', async () => {
    await unpack([
      { name: '../victim', content: 'x' },
      { name: '/abs', content: 'y' },
      { name: 'a/../../../b', content: 'z' },
    ]);
    assert.deepEqual(fs.readdirSync(root).sort(), ['abs', 'b', 'victim']);
  });

  it('cannot leave their folder by links (CVE-2026-17106)', async () => {
    const hostile: Entry[][] = [
      [
        { name: 'l', type: 'symlink', linkname: outer },
        { name: 'l/victim', content: 'x' },
      ],
      [
        { name: 'l', type: 'symlink', linkname: '..' },
        { name: 'l/new', type: 'directory' },
      ],
      [
        { name: 'l', type: 'symlink', linkname: '..' },
        { name: 'l/new/deep', content: 'x' },
      ],
      [
        { name: 'l', type: 'symlink', linkname: '..' },
        { name: 'h', type: 'link', linkname: 'l/victim' },
      ],
      [{ name: 'h', type: 'link', linkname: '../victim' }],
      [
        { name: 'd', type: 'directory' },
        { name: 'd', type: 'symlink', linkname: '..' },
        { name: 'd/victim', content: 'x' },
      ],
    ];
    for (const entries of hostile) {
      fs.rmSync(root, { recursive: true });
      fs.mkdirSync(root);
      await assert.rejects(unpack(entries), { code: 'CONTEXT_UNREADABLE' });
    }
  });

  it('may link to a link, which is not followed', async () => {
    await unpack([
      { name: 'l', type: 'symlink', linkname: '../victim' },
      { name: 'h', type: 'link', linkname: 'l' },
    ]);
    assert.equal(fs.readlinkSync(join(root, 'h')), '../victim');
    await assert.rejects(unpack([{ name: 'h', type: 'link', linkname: './h' }]), { code: 'CONTEXT_UNREADABLE' });
  });

  it('may tell more of a file at each of its links: the last counts for all its names', async () => {
    const at = (seconds: number): Date => new Date(seconds * 1000);
    const { stated } = await unpack([
      { name: 'a', uid: 7, pax: { 'SCHILY.xattr.user.a': '1' }, mtime: at(10) },
      { name: 'b', type: 'link', linkname: 'a', uid: 8, mode: 0o4755, mtime: at(20) },
      {
        name: 'c',
        type: 'link',
        linkname: 'b',
        uid: 9,
        mode: 0o600,
        pax: { 'SCHILY.xattr.user.b': '2' },
        mtime: at(30),
      },
      { name: 'd', mode: 0o644 },
      { name: 'e', type: 'link', linkname: 'd', mode: 0o640 },
      { name: 'f', type: 'link', linkname: 'e', gid: 5, mode: 0o640 },
      { name: 'c', uid: 3, mode: 0o700, mtime: at(40) },
      { name: 'l', type: 'symlink', linkname: '../victim', mtime: at(50) },
      { name: 'm', type: 'link', linkname: 'l', uid: 4, mode: 0o600, mtime: at(60) },
    ]);
    const told = ['a', 'b', 'c', 'd', 'e', 'f', 'l', 'm'].map((name) => {
      const { uid, gid, xattrs } = stated.get(name) ?? { uid: 0, gid: 0 };
      return `${name} ${uid}:${gid} ${Object.entries(xattrs ?? {}).join(' ')}`.trim();
    });
    assert.deepEqual(told, [
      ...['a 9:0 user.a,1 user.b,2', 'b 9:0 user.a,1 user.b,2', 'c 3:0'],
      ...['d 0:5', 'e 0:5', 'f 0:5', 'l 4:0', 'm 4:0'],
    ]);
    assert.deepEqual(['a', 'b', 'c', 'd'].map(mode), [0o600, 0o600, 0o700, 0o640]);
    assert.deepEqual(
      ['a', 'c', 'm'].map((name) => fs.lstatSync(join(root, name)).mtimeMs / 1000),
      [30, 40, 50],
    );
  });

  it('are read as Go reads them', async () => {
    // A block whose type, form or size is another than tar-stream writes.
    const changed = async (entry: Entry, change: (block: Buffer) => void): Promise<Buffer> => {
      const tar = (await tarOf([entry])).subarray(0, -1024);
      change(tar);
      const sum = tar.subarray(0, 512).reduce((all, byte, i) => all + (i >= 148 && i < 156 ? 32 : byte), 0);
      tar.write(sum.toString(8).padStart(6, '0'), 148, 'latin1');
      return tar;
    };
    const global = (body: string): Promise<Buffer> =>
      changed({ name: 'pax_global_header', content: body }, (block) => (block[156] = 0x67));
    const pax = { uid: '3000000', gid: '5', mtime: '900000000.9', path: '', 'SCHILY.xattr.user.a': 'v' };
    const tar = Buffer.concat([
      await global(''),
      await global('14 path=other\n'),
      await changed({ name: 'folder/', mode: 0o700 }, (block) => (block[156] = 0)),
      await changed({ name: 'file/' }, () => undefined),
      await changed({ name: 'v7', content: 'old' }, (block) => block.fill(0, 257, 265)),
      (await tarOf([{ name: 'paxed', content: 'x', pax }])).subarray(0, -1024),
      (await tarOf([{ name: 'before', content: 'x', pax: { mtime: '-1' } }])).subarray(0, -1024),
      await tarOf([{ name: './', type: 'directory', mode: 0o700 }]),
    ]);
    const { stated } = await unpackContext(once(tar), root, signal);
    assert.deepEqual(fs.readdirSync(root).sort(), ['PaxHeader', 'before', 'file', 'folder', 'v7']);
    assert.deepEqual(['.', 'folder'].map(mode), [0o755, 0o700]);
    assert.ok(fs.statSync(join(root, 'file')).isFile());
    assert.equal(read('v7'), 'old');
    const times = ['PaxHeader', 'before'].map((name) => fs.statSync(join(root, name)).mtimeMs);
    assert.deepEqual(times, [900_000_000_000, 0]);
    assert.deepEqual({ ...stated.get('PaxHeader'), xattrs: undefined }, { uid: 3_000_000, gid: 5, xattrs: undefined });
    assert.deepEqual({ ...stated.get('PaxHeader')?.xattrs }, { 'user.a': 'v' });
    for (const type of ['symlink', 'link', 'directory', 'fifo'] as const) {
      const body = await changed({ name: 'b', content: 'body' }, (block) => {
        block[156] = { link: 0x31, symlink: 0x32, directory: 0x35, fifo: 0x36 }[type];
        block.write('v7', 157);
      });
      await assert.rejects(unpackContext(once(body), root, signal), { code: 'CONTEXT_UNREADABLE' }, type);
    }
  });

  it('refuse what cannot be', async () => {
    await assert.rejects(unpack([{ name: '/', content: 'x' }]), { code: 'CONTEXT_UNREADABLE' });
    await assert.rejects(unpack([{ name: 'a/'.repeat(3000), type: 'directory' }]), { code: 'CONTEXT_UNREADABLE' });
    await assert.rejects(unpack([{ name: 'n'.repeat(300), content: 'x' }]), { code: 'CONTEXT_UNREADABLE' });
  });

  it('keep names that are no UTF-8', async () => {
    const tar = await tarOf([{ name: 'caf~', content: 'x' }]);
    tar[3] = 0xe9;
    const sum = tar.subarray(0, 512).reduce((all, byte, i) => all + (i >= 148 && i < 156 ? 32 : byte), 0);
    tar.write(sum.toString(8).padStart(6, '0'), 148, 'latin1');
    await unpackContext(once(tar), root, signal);
    assert.deepEqual(fs.readdirSync(root, { encoding: 'latin1' }), ['caf\xe9']);
  });

  for (const program of ['gzip', 'bzip2', 'xz']) {
    it(`may be packed with ${program}`, async function () {
      const tar = await tarOf([{ name: 'a', content: 'a'.repeat(200_000) }]);
      const { status, stdout } = spawnSync(program, ['-c'], { input: tar, maxBuffer: 1 << 24 });
      if (status !== 0) return this.skip();
      await unpackContext(once(stdout), root, signal);
      assert.equal(read('a').length, 200_000);
      await assert.rejects(unpackContext(once(stdout.subarray(0, -20)), root, signal), { code: 'CONTEXT_UNREADABLE' });
    });
  }

  it('of bzip2 may have several members, and hold no more than a block in memory', async function () {
    const [a, b] = [Buffer.alloc(3_000_000, 'abcdefg'), Buffer.alloc(60_000_000)];
    const packed = [a, b].map((input) => spawnSync('bzip2', ['-c'], { input, maxBuffer: 1 << 24 }));
    if (packed.some(({ status }) => status !== 0)) return this.skip();
    const { bunzip2 } = await import('../src/copy/bzip2.js');
    const input = Buffer.concat(packed.map(({ stdout }) => stdout));
    const pieces: number[] = [];
    const hash = createHash('sha256');
    for await (const piece of bunzip2(once(input))) {
      pieces.push(piece.length);
      hash.update(piece);
    }
    assert.equal(hash.digest('hex'), createHash('sha256').update(a).update(b).digest('hex'));
    assert.ok(Math.max(...pieces) <= 46_000_000, pieces.join());
  });

  it('that are damaged are told from those that are not', async () => {
    const tar = await tarOf([{ name: 'a', content: 'a'.repeat(2000) }]);
    assert.equal(looksLikeArchive(tar), true);
    assert.equal(looksLikeArchive(Buffer.from('FROM busybox\n'.repeat(100))), false);
    assert.equal(looksLikeArchive(Buffer.alloc(1024)), false);
    assert.equal(looksLikeArchive(Buffer.from([0x1f, 0x8b, 8])), true);
    await assert.rejects(unpackContext(once(tar.subarray(0, 1000)), root, signal), { code: 'CONTEXT_UNREADABLE' });
    for (const head of [
      [0x1f, 0x8b, 8, 0, 1],
      [0x42, 0x5a, 0x68, 0x39],
      [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0, 0],
      [0x28, 0xb5, 0x2f, 0xfd],
    ]) {
      const damaged = Buffer.concat([Buffer.from(head), Buffer.alloc(2000, 7)]);
      await assert.rejects(unpackContext(once(damaged), root, signal), { code: 'CONTEXT_UNREADABLE' }, head.join());
      await assert.rejects(
        unpackContext(once(Buffer.from(head)), root, signal),
        { code: 'CONTEXT_UNREADABLE' },
        head.join(),
      );
    }
  });

  it('never escape, whatever their entries are', async () => {
    const name = fc
      .array(fc.constantFrom('a', 'b', 'c', '..', '.', ''), { minLength: 1, maxLength: 4 })
      .map((parts) => parts.join('/'));
    const entry = fc.record({
      name: name.filter((text) => text !== ''),
      type: fc.constantFrom('file', 'directory', 'symlink', 'link') as fc.Arbitrary<'file' | 'symlink'>,
      linkname: name,
      content: fc.constant(''),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(entry, { maxLength: 6 }), async (entries) => {
        fs.rmSync(root, { recursive: true });
        fs.mkdirSync(root);
        try {
          await unpack(entries);
        } catch (error) {
          assert.ok(isStrakeError(error), String(error));
        }
        assert.equal(fs.readFileSync(join(outer, 'victim'), 'utf8'), 'untouched');
        assert.deepEqual(fs.readdirSync(outer).sort(), ['root', 'victim']);
      }),
      { numRuns: 300 },
    );
  }).timeout(60_000);
});
