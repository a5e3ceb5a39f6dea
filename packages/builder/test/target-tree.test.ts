import assert from 'node:assert/strict';

import type { TreeView, ViewEntry } from '@strake/store';
import { StrakeError } from '@strake/core';

import { TargetTree, type FolderFacts } from '../src/copy/target-tree.js';

const FACTS: FolderFacts = { mode: 0o755, uid: 0, gid: 0 };
const FILE = { facts: { type: 'file', mode: 0o644, uid: 0, gid: 0, size: 0, mtime: 0 } } as const;
const DEEP = Array.from({ length: 1800 }, () => 'd').join('/');

/** A tree below of these paths, and how often it was asked for one. */
function base(entries: Readonly<Record<string, Partial<ViewEntry>>>): { view: TreeView; asked(): number } {
  let asked = 0;
  const lookup = (path: string): ViewEntry | undefined => {
    asked++;
    const entry = entries[path];
    return entry && ({ path, mode: 0o755, uid: 0, gid: 0, size: 0, mtime: 0, ...entry } as ViewEntry);
  };
  return { view: { lookup } as unknown as TreeView, asked: () => asked };
}

const paths = (target: TargetTree): string[] => [...target.entries()].map((entry) => entry.path);

describe('a tree in the making', () => {
  it('takes no more than the length of a path for it: thousands of entries in folders that are nested thousands deep', function () {
    this.timeout(60_000); // seconds for one entry, where each folder is looked for from the root
    const target = new TargetTree(undefined, 0);
    target.makeFolders(target.resolve(DEEP), FACTS);
    for (let i = 0; i < 2000; i++) {
      const folder = target.resolve(`${DEEP}/../d`);
      target.makeFolders(folder, FACTS);
      target.put(`${folder}/f${i}`, FILE);
    }
    assert.equal(paths(target).length, 1800 + 2000);
  });

  it('asks the tree below once for a folder, however often something is put into it', () => {
    const parts = DEEP.split('/').slice(0, 200);
    const below = base(
      Object.fromEntries(parts.map((_part, i) => [parts.slice(0, i + 1).join('/'), { type: 'directory' }])),
    );
    const target = new TargetTree(below.view, 0);
    for (let i = 0; i < 100; i++) target.makeFolders(target.resolve(parts.join('/')), FACTS);
    assert.ok(below.asked() <= 2 * parts.length, `${below.asked()} times`);
    assert.deepEqual(paths(target), []);
  });

  it('a file and a folder that replace one another again and again, beside a hundred thousand others', function () {
    this.timeout(60_000); // minutes, where all that is planned is looked through for what was below
    const target = new TargetTree(undefined, 0);
    for (let i = 0; i < 100_000; i++) target.put(`f${i}`, FILE);
    for (let i = 0; i < 20_000; i++) {
      target.put('x', { facts: { ...FILE.facts, type: 'directory' } });
      target.put('x/y', FILE);
      target.put('x', FILE);
    }
    assert.equal(paths(target).at(-1), 'x');
    assert.equal(paths(target).length, 100_001);
  });

  it('refuses a path that is longer than a layer takes, and links that make one', () => {
    const target = new TargetTree(base({ l: { type: 'symlink', link: `${DEEP}/${DEEP}` } }).view, 0);
    for (const path of [`${DEEP}/${DEEP}/${DEEP}`, 'l/x']) {
      assert.throws(
        () => target.resolve(path),
        (error) => error instanceof StrakeError && error.code === 'COPY_CONFLICT' && /too long/.test(error.message),
      );
    }
    assert.throws(() => target.makeFolders(`${DEEP}/${DEEP}/${DEEP}`, FACTS), /too deep/);
  });

  it('follows links of plan and base inside of the root, and sees what is planned over the base', () => {
    const below = base({
      a: { type: 'directory' },
      'a/b': { type: 'directory' },
      'a/b/f': { type: 'file' },
      up: { type: 'symlink', link: '../../a/b' },
      loop: { type: 'symlink', link: 'loop' },
    });
    const target = new TargetTree(below.view, 0);
    assert.equal(target.resolve('up/new/../f'), 'a/b/f');
    assert.throws(() => target.resolve('loop/x'), /circle of links/);
    assert.equal(target.resolve('up', '', true), 'up');
    assert.equal(target.lookup('a/b/f')?.type, 'file');
    target.put('a', FILE);
    assert.equal(target.lookup('a/b/f'), undefined);
    assert.throws(() => target.makeFolders('a/c', FACTS), /not a directory/);
    target.put('a', { facts: { ...FILE.facts, type: 'directory' } });
    assert.equal(target.lookup('a/b'), undefined);
    assert.deepEqual([...target.entries()][0], { ...FILE.facts, type: 'directory', path: 'a', opaque: true });
    target.makeFolders('a/b', FACTS);
    assert.equal(target.isNew('a/b'), false);
    assert.deepEqual(paths(target), ['a', 'a/b']);
  });

  it('follows links inside of a folder that is taken for the root', () => {
    const target = new TargetTree(undefined, 0);
    target.makeFolders('dest/in', FACTS);
    target.put('dest/in/l', { facts: { ...FILE.facts, type: 'symlink', link: '/../in/x' } });
    assert.equal(target.resolve('in/l', 'dest'), 'dest/in/x');
    assert.equal(target.resolve('../../x', 'dest'), 'dest/x');
    assert.equal(target.resolve('in/l', 'dest', true), 'dest/in/l');
  });

  it('makes folders as a kernel does in one with the set-group-ID bit: with the bit and, where none is given, its group', () => {
    const target = new TargetTree(undefined, 0);
    const folder = { ...FILE.facts, type: 'directory', mode: 0o2775, uid: 5, gid: 6 } as const;
    target.put('shared', { facts: folder });
    target.makeFolders('shared/a/b', { mode: 0o755, uid: 0, gid: undefined });
    target.makeFolders('shared/c', { mode: 0o700, uid: 1, gid: 2 });
    target.makeFolders('own/d', { mode: 0o755, uid: 0, gid: undefined });
    const made = ['shared/a', 'shared/a/b', 'shared/c', 'own/d'].map((path) => {
      const { mode, uid, gid } = target.lookup(path) ?? folder;
      return [mode.toString(8), uid, gid];
    });
    assert.deepEqual(made, [
      ['2755', 0, 6],
      ['2755', 0, 6],
      ['2700', 1, 2],
      ['755', 0, 0],
    ]);
  });

  it('links the other names of a file to one another when its first name is given to something else', () => {
    const target = new TargetTree(undefined, 0);
    const linkTo = { path: 'first', node: FILE };
    target.put('first', FILE);
    target.put('second', { facts: FILE.facts, linkTo });
    target.put('third', { facts: FILE.facts, linkTo });
    target.put('first', { facts: FILE.facts });
    const links = new Map([...target.entries()].map((entry) => [entry.path, 'link' in entry ? entry.link : undefined]));
    assert.deepEqual([...links].sort(), [
      ['first', undefined],
      ['second', undefined],
      ['third', 'second'],
    ]);
  });
});
