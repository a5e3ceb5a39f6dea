import assert from 'node:assert/strict';
import { chmodSync, chownSync, lstatSync, writeFileSync } from 'node:fs';

import { createSnapshotter, type MountSpec } from '../src/index.js';
import { file, folder, withStore } from './support.js';

/** Where a step finds the root of a snapshot, as far as its own facts are concerned. */
const rootOf = (mount: MountSpec): string => (mount.kind === 'overlay' ? (mount.upper ?? '') : mount.source);
const asRoot = process.geteuid?.() === 0;

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
  });
}
