import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

import { errnoOf } from '@strake/core';
import { closeDescriptor } from '@strake/sys';
import fc from 'fast-check';

import { removeTree } from '../src/remove-tree.js';
import { walkRoot, type Stub } from '../src/root-walk.js';
import { removeStubs } from '../src/stubs.js';

describe('walkRoot', () => {
  let folder: string;
  let root: number;
  const inside = (...names: string[]): string => path.join(folder, 'root', ...names);

  beforeEach(() => {
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'root-walk-'));
    fs.mkdirSync(inside('a/b'), { recursive: true });
    fs.writeFileSync(inside('a/f'), 'f');
    fs.mkdirSync(path.join(folder, 'outside'));
    root = fs.openSync(inside(), fs.constants.O_DIRECTORY);
  });
  afterEach(() => {
    fs.closeSync(root);
    fs.rmSync(folder, { recursive: true });
  });

  const walk = (where: string, create?: 'file' | 'folder'): { path: string; kind: string; stubs: Stub[] } => {
    const stubs: Stub[] = [];
    const before = fs.readdirSync('/proc/self/fd').length;
    try {
      const place = walkRoot(root, where, { ...(create ? { create } : {}), created: (stub) => stubs.push(stub) });
      closeDescriptor(place.fd);
      return { path: place.path, kind: place.kind, stubs };
    } finally {
      assert.equal(fs.readdirSync('/proc/self/fd').length, before, 'descriptors are left open');
    }
  };

  it('walks folders, files, dots and links inside the root', () => {
    fs.symlinkSync('/a/b', inside('absolute'));
    fs.symlinkSync('../../../../a', inside('a/b/up'));
    fs.symlinkSync(folder, inside('host'));
    assert.deepEqual(walk('/'), { path: '/', kind: 'folder', stubs: [] });
    assert.deepEqual(walk('//a/./b/../f'), { path: '/a/f', kind: 'file', stubs: [] });
    assert.equal(walk('absolute').path, '/a/b');
    assert.equal(walk('/absolute/up/f').path, '/a/f');
    assert.equal(walk('../../../a').path, '/a');
    assert.throws(
      () => walk('/host/outside'),
      (error) => errnoOf(error) === 'ENOENT',
    );
  });
  it('makes what is missing, also behind dangling links, and tells', () => {
    fs.symlinkSync('/run/x', inside('dangling'));
    const { path: made, stubs } = walk('/dangling/deep/file', 'file');
    assert.equal(made, '/run/x/deep/file');
    assert.deepEqual(
      stubs.map((s) => `${s.kind} ${s.path}`),
      ['folder /run', 'folder /run/x', 'folder /run/x/deep', 'file /run/x/deep/file'],
    );
    assert.equal(fs.statSync(inside('run/x')).mode & 0o7777, 0o755);
  });
  it('ends in loops and long chains', () => {
    fs.symlinkSync('loop', inside('loop'));
    fs.symlinkSync('/grow/x', inside('grow'));
    for (const name of ['/loop', '/loop/x', '/grow'])
      assert.throws(
        () => walk(name),
        (error) => errnoOf(error) === 'ELOOP',
      );
    for (let i = 0; i < 255; i++) fs.symlinkSync(i === 0 ? 'a' : `l${i - 1}`, inside(`l${i}`));
    assert.equal(walk('l254').path, '/a');
    fs.symlinkSync('l254', inside('l255'));
    assert.throws(
      () => walk('l255'),
      (error) => errnoOf(error) === 'ELOOP',
    );
  });
  it('never walks through a file', () => {
    assert.throws(
      () => walk('/a/f/x', 'file'),
      (error) => errnoOf(error) === 'ENOTDIR',
    );
    assert.throws(
      () => walk('/a/f/x'),
      (error) => errnoOf(error) === 'ENOTDIR',
    );
  });
  it('stays inside whatever links there are', () => {
    const target = fc.constantFrom(
      '/',
      '..',
      '../..',
      '/a',
      'b',
      '/a/b/l',
      '../l',
      'x/y',
      '/../../..',
      `/proc/self/root/tmp`,
    );
    const name = fc.constantFrom('a', 'b', 'l', 'm', '..', 'x', '.');
    fc.assert(
      fc.property(target, target, fc.array(name, { maxLength: 8 }), (first, second, names) => {
        for (const [at, to] of [
          ['l', first],
          ['a/l', second],
          ['a/b/l', first],
          ['m', second],
        ] as const) {
          fs.rmSync(inside(at), { force: true, recursive: true });
          fs.symlinkSync(to, inside(at));
        }
        try {
          const place = walkRoot(root, names.join('/'), { create: 'folder' });
          const real = fs.readlinkSync(`/proc/self/fd/${place.fd}`);
          closeDescriptor(place.fd);
          assert.equal(real, path.join(inside(), place.path).replace(/\/$/, ''));
        } catch (error) {
          assert.ok(['ELOOP', 'ENOTDIR'].includes(errnoOf(error) ?? ''), String(error));
        }
        assert.deepEqual(fs.readdirSync(folder).sort(), ['outside', 'root']);
        assert.deepEqual(fs.readdirSync(path.join(folder, 'outside')), []);
      }),
      { numRuns: 300 },
    );
  });

  describe('removeStubs', () => {
    const time = (name: string): number => fs.statSync(inside(name)).mtimeMs;

    it('removes what is as it was made, and restores times', () => {
      fs.utimesSync(inside('a'), 1000, 1000);
      fs.utimesSync(inside(), 2000, 2000);
      const stubs = [
        ...walk('/a/one', 'file').stubs,
        ...walk('/a/two/three', 'folder').stubs,
        ...walk('/new/x', 'file').stubs,
      ];
      removeStubs(root, stubs);
      assert.deepEqual([fs.readdirSync(inside()), fs.readdirSync(inside('a')).sort()], [['a'], ['b', 'f']]);
      assert.deepEqual([time('a'), time('')], [1_000_000, 2_000_000]);
    });
    it('keeps what was written to, replaced, linked or filled', () => {
      const made = (name: string, kind: 'file' | 'folder'): Stub[] => walk(name, kind).stubs;
      const stubs = [
        ...made('/written', 'file'),
        ...made('/replaced', 'file'),
        ...made('/linked', 'file'),
        ...made('/filled', 'folder'),
        ...made('/turned/x', 'folder'),
        ...made('/gone/x', 'file'),
      ];
      fs.writeFileSync(inside('written'), 'x');
      fs.writeFileSync(inside('other'), '');
      fs.renameSync(inside('other'), inside('replaced'));
      fs.linkSync(inside('linked'), inside('linked2'));
      fs.mkdirSync(inside('filled/own'));
      fs.rmSync(inside('turned'), { recursive: true });
      fs.symlinkSync('../outside', inside('turned'));
      fs.mkdirSync(path.join(folder, 'outside/x'));
      fs.rmSync(inside('gone'), { recursive: true });
      removeStubs(root, stubs);
      assert.deepEqual(fs.readdirSync(inside()).sort(), [
        'a',
        'filled',
        'linked',
        'linked2',
        'replaced',
        'turned',
        'written',
      ]);
      assert.deepEqual(fs.readdirSync(path.join(folder, 'outside')), ['x']);
    });
    it('keeps the time of a folder that changed meanwhile', () => {
      fs.utimesSync(inside('a'), 1000, 1000);
      const { stubs } = walk('/a/one', 'file');
      fs.utimesSync(inside('a'), 3000, 3000);
      removeStubs(root, stubs);
      assert.equal(time('a'), 3_000_000);
    });
  });
});

describe('removeTree', () => {
  it('removes trees deeper than any path, odd names, and follows no link', () => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'remove-tree-'));
    const top = path.join(folder, 'top');
    fs.mkdirSync(path.join(folder, 'outside/kept'), { recursive: true });
    fs.mkdirSync(path.join(top, 'a/b'), { recursive: true });
    fs.writeFileSync(Buffer.concat([Buffer.from(`${top}/a/`), Buffer.from([0xff, 0x0a])]), '');
    fs.symlinkSync('../../outside', path.join(top, 'a/link'));
    fs.chmodSync(path.join(top, 'a/b'), 0);
    let deep = path.join(top, 'deep');
    fs.mkdirSync(deep);
    // Two thousand levels of names with 5 bytes, built from the bottom up.
    for (let i = 0; i < 2000; i++) {
      const above = path.join(top, `n${i}`);
      fs.mkdirSync(above);
      fs.renameSync(deep, path.join(above, 'below'));
      deep = above;
    }
    removeTree(top);
    assert.deepEqual(fs.readdirSync(folder), ['outside']);
    assert.deepEqual(fs.readdirSync(path.join(folder, 'outside')), ['kept']);
    fs.rmSync(folder, { recursive: true });
  });
});
