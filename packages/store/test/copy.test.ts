import assert from 'node:assert/strict';
import {
  linkSync,
  lstatSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';

import { createSnapshotter } from '../src/index.js';
import { changeSomething, linesOf } from './random-changes.js';
import { file, folder, link, withStore } from './support.js';

describe('copy snapshots', () => {
  it('make layers that lead to what the steps have left, whatever they did', () =>
    withStore(async (store) => {
      let state = 1;
      const random = (limit: number): number => {
        state = (Math.imul(state, 1103515245) + 12345) >>> 0;
        return (state >>> 8) % limit;
      };
      const snapshotter = createSnapshotter({ store, kind: 'copy', userNamespace: false });
      const chain = [(await store.layers.write([folder('a'), folder('b'), file('b/a', '1'), file('c', '2')])).diffId];
      for (let step = 0; step < 12; step++) {
        const snapshot = await snapshotter.prepare(chain);
        const root = snapshot.mount.kind === 'bind' ? snapshot.mount.source : '';
        for (let changes = 1 + random(30); changes > 0; changes--) changeSomething(root, random);
        const wanted = linesOf(root);
        await snapshotter.freeze(snapshot.id);
        chain.push((await snapshotter.commit(snapshot.id)).diffId);
        await snapshotter.discard(snapshot.id);
        // Unpacked anew, from the layers.
        const fresh = await snapshotter.mountReadOnly(chain);
        assert.deepEqual(linesOf(fresh.kind === 'bind' ? fresh.source : '').sort(), wanted.sort(), `step ${step}`);
      }
    }));

  it('go on where a folder that nothing has happened to holds what has changed', () =>
    withStore(async (store) => {
      const { diffId } = await store.layers.write([
        folder('d'),
        folder('d/e'),
        file('d/e/deep', '1'),
        file('d/f', '1'),
        folder('d/z'),
        file('d/z/f', '1'),
      ]);
      const snapshotter = createSnapshotter({ store, kind: 'copy', userNamespace: false });
      const chain = [diffId];
      const paths: string[][] = [];
      for (const path of ['d/e/deep', 'd/z/f', 'd/f', 'd/e/deep']) {
        const { id, mount } = await snapshotter.prepare(chain);
        const root = mount.kind === 'bind' ? mount.source : '';
        writeFileSync(`${root}/${path}`, `${chain.length + 1}`);
        await snapshotter.freeze(id);
        const layer = await snapshotter.commit(id);
        chain.push(layer.diffId);
        const view = await store.layers.view([layer.diffId]);
        paths.push([...view.walk('')].map((entry) => entry.path).filter((one) => one !== ''));
      }
      assert.deepEqual(paths, [
        ['d', 'd/e', 'd/e/deep'],
        ['d', 'd/z', 'd/z/f'],
        ['d', 'd/f'],
        ['d', 'd/e', 'd/e/deep'],
      ]);
    }));

  it('take a new name for a file of a layer below as a file of its own, wherever it comes in the order', () =>
    withStore(async (store) => {
      const { diffId } = await store.layers.write([folder('d'), file('d/z', '1')]);
      const snapshotter = createSnapshotter({ store, kind: 'copy', userNamespace: false });
      const { id, mount } = await snapshotter.prepare([diffId]);
      const root = mount.kind === 'bind' ? mount.source : '';
      linkSync(`${root}/d/z`, `${root}/a`);
      linkSync(`${root}/d/z`, `${root}/z`);
      await snapshotter.freeze(id);
      const view = await store.layers.view([(await snapshotter.commit(id)).diffId]);
      // The two new names are one file.
      const made = [...view.walk('')].filter(({ path }) => path !== '');
      assert.deepEqual(
        made.map(({ path, type }) => [path, type]),
        [
          ['a', 'file'],
          ['z', 'file'],
        ],
      );
      assert.equal(made[0]?.inode, made[1]?.inode);
    }));

  it('separate new names of files of layers below from the old ones in the tree too: what a cached build works on has them so', () =>
    withStore(async (store) => {
      const [uid, gid] = process.getuid?.() === 0 ? [7, 8] : [process.getuid?.() ?? 0, process.getgid?.() ?? 0];
      const facts = { mode: 0o4750, uid, gid, mtime: 1_000_000_000 };
      const { diffId } = await store.layers.write([folder('d'), { ...file('d/old', '1'), ...facts }]);
      const snapshotter = createSnapshotter({ store, kind: 'copy', userNamespace: false });
      const { id, mount } = await snapshotter.prepare([diffId]);
      const root = mount.kind === 'bind' ? mount.source : '';
      linkSync(`${root}/d/old`, `${root}/d/new`);
      linkSync(`${root}/d/old`, `${root}/a`);
      utimesSync(`${root}/d`, 1_000_000_000, 1_000_000_000);
      await snapshotter.freeze(id);
      const made = await snapshotter.commit(id);
      const next = await snapshotter.prepare([diffId, made.diffId]);
      const tree = next.mount.kind === 'bind' ? next.mount.source : '';
      const [old, fresh, other] = ['d/old', 'd/new', 'a'].map((name) => lstatSync(`${tree}/${name}`));
      assert.notEqual(old?.ino, fresh?.ino);
      assert.equal(fresh?.ino, other?.ino);
      for (const one of [old, fresh]) {
        assert.deepEqual(
          { mode: (one?.mode ?? 0) & 0o7777, uid: one?.uid, gid: one?.gid, mtime: (one?.mtimeMs ?? 0) / 1000 },
          facts,
        );
      }
      assert.equal(lstatSync(`${tree}/d`).mtimeMs, 1_000_000_000_000);
      writeFileSync(`${tree}/d/new`, 'changed');
      await snapshotter.freeze(next.id);
      const view = await store.layers.view([(await snapshotter.commit(next.id)).diffId]);
      const changed = [...view.walk('')].filter(({ type }) => type !== 'directory');
      assert.deepEqual(
        changed.map(({ path, type }) => [path, type]),
        [
          ['a', 'file'],
          ['d/new', 'file'],
        ],
      );
    }));

  it('see a change that keeps size and time, and nothing where nothing changed', () =>
    withStore(async (store) => {
      const { diffId } = await store.layers.write([
        folder('d'),
        file('d/f', 'one'),
        file('d/g', 'two'),
        link('l', 'd'),
      ]);
      const snapshotter = createSnapshotter({ store, kind: 'copy', userNamespace: false });
      const first = await snapshotter.prepare([diffId]);
      const root = first.mount.kind === 'bind' ? first.mount.source : '';
      const { mtime, atime } = statSync(`${root}/d/f`);
      writeFileSync(`${root}/d/f`, 'ONE');
      utimesSync(`${root}/d/f`, atime, mtime);
      // Touched, but what it was.
      writeFileSync(`${root}/d/g`, 'two');
      utimesSync(`${root}/d/g`, 1000, 1000);
      await snapshotter.freeze(first.id);
      const changed = await snapshotter.commit(first.id);
      const view = await store.layers.view([changed.diffId]);
      assert.deepEqual(
        [...view.walk('')].map(({ path }) => path),
        ['', 'd', 'd/f'],
      );
      // The next step goes on with the same tree.
      const inode = statSync(`${root}/d/f`).ino;
      const second = await snapshotter.prepare([diffId, { snapshot: first.id }]);
      const next = second.mount.kind === 'bind' ? second.mount.source : '';
      assert.equal(statSync(`${next}/d/f`).ino, inode);
      assert.notEqual(next, root);
      await snapshotter.freeze(second.id);
      const nothing = await snapshotter.commit(second.id);
      assert.equal(nothing.size, 1024);
      // Another step on the same chain gets a tree of its own.
      const third = await snapshotter.prepare([diffId, changed.diffId, nothing.diffId]);
      const fourth = await snapshotter.prepare([diffId, changed.diffId, nothing.diffId]);
      assert.notDeepEqual(third.mount, fourth.mount);
      const tree = fourth.mount.kind === 'bind' ? fourth.mount.source : '';
      assert.equal(readFileSync(`${tree}/d/f`, 'utf8'), 'ONE');
      rmSync(`${tree}/l`);
      symlinkSync('other', `${tree}/l`);
      linkSync(`${tree}/d/g`, `${tree}/d/h`);
      await snapshotter.freeze(fourth.id);
      const last = await store.layers.view([(await snapshotter.commit(fourth.id)).diffId]);
      assert.deepEqual([...last.walk('')].map(({ path, link: to }) => [path, to]).slice(1), [
        ['d', undefined],
        ['d/h', undefined],
        ['l', 'other'],
      ]);
      await snapshotter.discard(third.id);
      await snapshotter.close?.();
      assert.deepEqual(await store.findLeftovers(), []);
      // The tree, the scan of it and what has happened to it.
      assert.equal(readdirSync(store.layout.snapshots).length, 3);
    }));
});
