import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';

import { digestOf } from '@strake/core';

import type { LayerEntry } from '../src/index.js';
import { folder, withFolder, withStore } from './support.js';

/** Files of a folder as a COPY has them: small ones, empty ones, and one that is too large for a former layer. */
function filesOf(root: string, change: ReadonlyMap<string, string> = new Map()): LayerEntry[] {
  mkdirSync(`${root}/d`, { recursive: true });
  const names = Array.from({ length: 300 }, (_, i) => `f${String(i).padStart(3, '0')}`);
  const entries = [folder('d')];
  for (const [i, name] of names.entries()) {
    const text = change.get(name) ?? `${name} `.repeat(i === 7 ? 100_000 : i * 3);
    writeFileSync(`${root}/d/${name}`, text);
    const facts = { mode: 0o644, uid: 0, gid: 0, size: Buffer.byteLength(text), mtime: 1000 };
    const content = { kind: 'file', root, path: `d/${name}`, digest: digestOf(text) } as const;
    entries.push({ ...facts, path: `d/${name}`, type: 'file', content });
  }
  return entries;
}

describe('a layer that is like a former one', () => {
  const test = (what: (root: string, store: Parameters<Parameters<typeof withStore>[0]>[0]) => Promise<void>) => () =>
    withStore((store) => withFolder((root) => what(root, store)));

  it(
    'is what it would be without it',
    test(async (root, store) => {
      const { diffId: former } = await store.layers.write(filesOf(root));
      const entries = filesOf(root, new Map([['f100', 'changed'], ['f101', 'f101 '.repeat(304)]])); // prettier-ignore
      const plain = await store.layers.write(entries);
      const index = readFileSync(`${store.layout.layers}/${plain.diffId.slice(7)}/index`);
      for (const like of [former, digestOf('not there')]) {
        const { diffId } = await store.layers.write(entries, undefined, like);
        assert.equal(diffId, plain.diffId);
        assert.deepEqual(readFileSync(`${store.layout.layers}/${diffId.slice(7)}/index`), index);
      }
      // With other paths and in another order.
      const moved = entries.map((entry) => ({ ...entry, path: `e${entry.path}` })).reverse();
      const { diffId } = await store.layers.write([...moved, ...entries.toReversed()], undefined, former);
      assert.equal(diffId, (await store.layers.write([...moved, ...entries.toReversed()])).diffId);
    }),
  );

  it(
    'reads no file that the former one has, and believes nothing of what that says',
    test(async (root, store) => {
      const entries = filesOf(root);
      const { diffId: former } = await store.layers.write(entries);
      const small = entries.filter((entry) => entry.type !== 'file' || (entry.size > 0 && entry.size < 10_000));
      const { diffId: expected } = await store.layers.write(small);
      renameSync(`${root}/d`, `${root}/gone`);
      assert.equal((await store.layers.write(small, undefined, former)).diffId, expected);
      await assert.rejects(store.layers.write(small), { code: 'SOURCE_CHANGED' });
      renameSync(`${root}/gone`, `${root}/d`);
      const tar = store.blobs.path(former);
      const bytes = readFileSync(tar);
      rmSync(tar);
      writeFileSync(
        tar,
        bytes.map((byte, i) => (i % 3000 === 0 ? byte ^ 1 : byte)),
      );
      assert.equal((await store.layers.write(small, undefined, former)).diffId, expected);
      writeFileSync(tar, bytes.subarray(0, 5000));
      assert.equal((await store.layers.write(small, undefined, former)).diffId, expected);
    }),
  );
});
