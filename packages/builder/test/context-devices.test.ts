import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import { join } from 'node:path';
import type { Header } from 'tar-stream';

import { unpackContext } from '../src/source/archive-folder.js';
import { temporaryTree } from '../src/source/temporary-tree.js';
import type { LocalTree } from '../src/tree/local-tree.js';
import { once, tarOf, type Entry } from './support/tar.js';

const MTIME = new Date(1_000_000_000_000);

const datedTar = (entries: readonly Entry[]): Promise<Buffer> =>
  tarOf(entries.map((entry) => ({ mtime: MTIME, ...entry })));

const char = (name: string, more: Partial<Header> = {}): Entry => ({
  ...{ name, type: 'character-device', devmajor: 1, devminor: 3, mode: 0o640, uid: 5, gid: 6 },
  ...more,
});

describe('device nodes in archives of contexts', () => {
  let root: string;
  const { signal } = new AbortController();
  beforeEach(() => (root = fs.mkdtempSync(join(os.tmpdir(), 'strake-devices-'))));
  afterEach(() => fs.rmSync(root, { recursive: true }));

  const unpack = async (bytes: Uint8Array): Promise<LocalTree> => {
    const { stated } = await unpackContext(once(bytes), root, signal);
    return temporaryTree(root, { stated });
  };
  const facts = (tree: LocalTree, path: string): unknown => {
    const { type, mode, uid, gid, mtime, size, device } = tree.lookup(path) ?? assert.fail(`no ${path}`);
    return [type, mode, uid, gid, mtime, size, device];
  };

  it('are told as such, whoever unpacks', async () => {
    const block: Partial<Header> = { type: 'block-device', devmajor: 4095, devminor: 0o777777, mode: 0o4777 };
    const tree = await unpack(await datedTar([char('c'), char('d/b', { ...block, uid: 0, gid: 0 })]));
    assert.deepEqual(facts(tree, 'c'), ['char', 0o640, 5, 6, 1_000_000_000, 0, { major: 1, minor: 3 }]);
    const numbers = { major: 4095, minor: 0o777777 };
    assert.deepEqual(facts(tree, 'd/b'), ['block', 0o4777, 0, 0, 1_000_000_000, 0, numbers]);
    assert.deepEqual(
      Array.from(tree.children('d'), ({ type, device }) => [type, device]),
      [['block', numbers]],
    );
    await tree.learn([tree.lookup('c') ?? assert.fail()]);
    assert.equal(tree.digest(tree.lookup('c') ?? assert.fail()), undefined);
    assert.ok(fs.statSync(join(root, 'c')).isFile());
  });

  it('may be linked to, and are no link of a file then', async () => {
    const link: Entry = { name: 'l', type: 'link', linkname: 'c', mode: 0o600, uid: 7 };
    const tree = await unpack(await datedTar([char('c'), link, { name: 'c', content: 'file' }]));
    assert.deepEqual(facts(tree, 'l'), ['char', 0o600, 7, 0, 1_000_000_000, 0, { major: 1, minor: 3 }]);
    assert.equal(tree.lookup('l')?.inode, undefined);
    assert.deepEqual(facts(tree, 'c'), ['file', 0o644, 0, 0, 1_000_000_000, 4, undefined]);
  });

  it('are replaced by what comes later, and no folder is taken for one', async () => {
    const tree = await unpack(
      await datedTar([
        ...[char('f'), char('d'), char('a/n')],
        { name: 'f', content: 'x' },
        { name: 'd/', type: 'directory' },
        { name: 'a', content: 'in its place' },
        { name: 'a/', type: 'directory' },
        { name: 'a/n/below', content: 'x' },
      ]),
    );
    assert.deepEqual(
      ['f', 'd', 'a', 'a/n', 'a/n/below'].map((path) => tree.lookup(path)?.type),
      ['file', 'directory', 'directory', 'directory', 'file'],
    );
    assert.equal(tree.lookup('a/n')?.uid, 0);
    await assert.rejects(unpack(await datedTar([char('x'), { name: 'x/y', content: '' }])), {
      code: 'CONTEXT_UNREADABLE',
      message: /no folder/,
    });
  });

  it('have no attributes of users, and no time that counts', async () => {
    const pax = { 'SCHILY.xattr.user.a': 'v', 'SCHILY.xattr.trusted.b': 'w' };
    const bytes = await datedTar([char('c', { pax })]);
    const { newest, stated } = await unpackContext(once(bytes), root, signal);
    assert.equal(newest, undefined);
    assert.deepEqual({ ...stated.get('c')?.xattrs }, { 'trusted.b': 'w' });
  });

  it('have numbers that Linux knows, and none in the oldest form of a tar', async () => {
    await assert.rejects(unpack(await datedTar([char('c', { devmajor: 4096 })])), {
      code: 'CONTEXT_UNREADABLE',
      message: /device number is out of range/,
    });
    const old = await datedTar([char('c')]);
    old.fill(0, 257, 265);
    const sum = old.subarray(0, 512).reduce((all, byte, i) => all + (i >= 148 && i < 156 ? 32 : byte), 0);
    old.write(sum.toString(8).padStart(6, '0'), 148, 'latin1');
    assert.deepEqual((await unpack(old)).lookup('c')?.device, { major: 0, minor: 0 });
  });
});
