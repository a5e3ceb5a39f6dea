import assert from 'node:assert/strict';
import { lstatSync, mkdirSync, writeFileSync } from 'node:fs';

import { createSnapshotter } from '../src/index.js';
import { withStore } from './support.js';

describe('overlay snapshots', () => {
  it('are read however deep their folders lie, with what stands beside these', () =>
    withStore(async (store) => {
      const snapshotter = createSnapshotter({ store, kind: 'overlay', userNamespace: false });
      const { id, mount } = await snapshotter.prepare([]);
      const upper = mount.kind === 'overlay' ? (mount.upper ?? '') : '';
      const expected: string[] = [''];
      let path = '';
      for (let depth = 0; depth < 300; depth++) {
        for (const [name, text] of [
          ['a', 'before'],
          ['z', 'after'],
        ] as const) {
          writeFileSync(`${upper}/${path}${name}`, `${text} ${depth}`);
          expected.push(`${path}${name}`);
        }
        path += 'd/';
        mkdirSync(`${upper}/${path}`);
        expected.push(path.slice(0, -1));
      }
      await snapshotter.freeze(id);
      const { diffId } = await snapshotter.commit(id);
      const view = await store.layers.view([diffId]);
      assert.deepEqual([...view.walk('')].map((entry) => entry.path).sort(), expected.sort());
      const last = view.lookup(`${'d/'.repeat(299)}z`);
      assert.equal(last?.size, 'after 299'.length);
      assert.equal(last.mtime, Math.floor(lstatSync(`${upper}/${'d/'.repeat(299)}z`).mtimeMs / 1000));
    }));
});
