import assert from 'node:assert/strict';
import { linkSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';

import { createSnapshotter } from '../src/index.js';
import { file, folder, link, withStore } from './support.js';

describe('copy snapshots', () => {
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
      assert.equal(readdirSync(store.layout.snapshots).length, 2);
    }));
});
