import assert from 'node:assert/strict';
import { chmodSync, chownSync, existsSync, lstatSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import type { Digest } from '@strake/core';

import { createSnapshotter, openStore, type EntryFacts, type LayerEntry, type MountSpec } from '../src/index.js';
import { file, folder, link, withFolder, withStore } from './support.js';

/** Where a step finds the root of a snapshot, as far as its own facts are concerned. */
const rootOf = (mount: MountSpec): string => (mount.kind === 'overlay' ? (mount.upper ?? '') : mount.source);
const asRoot = process.geteuid?.() === 0;
const things = (at: string): LayerEntry[] => {
  const below = (name: string): string => (at === '' ? name : `${at}/${name}`);
  return [
    folder(below('d'), {}),
    file(below('d/deep'), 'd'),
    file(below('f'), 'f'),
    file(below('g'), 'g', { gid: 9, mode: 0o6755 }),
    link(below('l'), 'f'),
    { ...folder(below('p'), { mode: 0o640 }), type: 'fifo' } as LayerEntry,
  ];
};

// One suite for all snapshotters: what a step can tell of the step before it, whether that one's layer is written or not.
for (const kind of ['overlay', 'copy'] as const) {
  describe(`snapshots, ${kind}`, () => {
    it('keep what a step made of the root folder, before its layer is written and afterwards', () =>
      withStore(async (store) => {
        const snapshotter = createSnapshotter({ store, kind, userNamespace: !asRoot });
        const [uid, gid] = asRoot ? [7, 8] : [process.geteuid?.() ?? 0, process.getegid?.() ?? 0];
        const { diffId: base } = await store.layers.write([folder('', { mode: 0o755, uid, gid }), file('a', 'a')]);

        const first = await snapshotter.prepare([base]);
        assert.equal(lstatSync(rootOf(first.mount)).uid, uid);
        chmodSync(rootOf(first.mount), 0o1711);
        if (asRoot) chownSync(rootOf(first.mount), 9, 8);
        const changed = lstatSync(rootOf(first.mount));
        await snapshotter.freeze(first.id);
        const committing = snapshotter.commit(first.id);

        const second = await snapshotter.prepare([base, { snapshot: first.id }]);
        const seen = lstatSync(rootOf(second.mount));
        assert.deepEqual([seen.mode, seen.uid, seen.gid], [changed.mode, changed.uid, changed.gid]);
        writeFileSync(`${rootOf(second.mount)}/b`, 'b');
        await snapshotter.freeze(second.id);
        const layers = [base, (await committing).diffId, (await snapshotter.commit(second.id)).diffId];

        const top = await store.layers.view(layers.slice(2));
        assert.deepEqual(top.list(''), ['b']);
        const root = (await store.layers.view(layers)).lookup('');
        assert.deepEqual([root?.mode, root?.uid, root?.gid], [0o1711, changed.uid, changed.gid]);
        const third = await snapshotter.prepare(layers);
        assert.equal(lstatSync(rootOf(third.mount)).mode, changed.mode);
        await snapshotter.discard(third.id);
        await snapshotter.close?.();
      }));

    it('have files of the owners and modes that their layers state, whatever folders hand on to what is made in them', async function () {
      if (!asRoot) this.skip();
      await withFolder(async (above) => {
        chownSync(above, 0, 7);
        chmodSync(above, 0o2755);
        const store = await openStore({ root: join(above, 'store') });
        try {
          const snapshotter = createSnapshotter({ store, kind, userNamespace: false });
          const shared = folder('shared', { mode: 0o2775, uid: 0, gid: 8 });
          const layers: LayerEntry[][] = [
            [
              folder('', {}),
              shared,
              ...things('shared'),
              folder('own', { uid: 5, gid: 6 }),
              ...things('own'),
              ...things(''),
            ],
            [folder('shared/later', { mode: 0o700 }), file('shared/late', 'l', { mode: 0o4711 })],
          ];
          const chain: Digest[] = [];
          for (const layer of layers) chain.push((await store.layers.write(layer)).diffId);
          const { id, mount } = await snapshotter.prepare(chain);
          const tops = mount.kind === 'overlay' ? [mount.upper ?? '', ...mount.lower] : [mount.source];
          for (const entry of layers.flat()) {
            const { path, mode, uid, gid } = entry as EntryFacts;
            const top = tops.find((one) => existsSync(join(one, path))) ?? 'nowhere';
            const seen = lstatSync(join(top, path));
            assert.deepEqual(
              [path, (seen.mode & 0o7777).toString(8), seen.uid, seen.gid],
              [path, mode.toString(8), uid, gid],
            );
          }
          await snapshotter.discard(id);
          await snapshotter.close?.();
        } finally {
          await store.close();
        }
      });
    });
  });
}
