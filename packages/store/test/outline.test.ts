import assert from 'node:assert/strict';
import { chmodSync, lstatSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';

import { digestOf, type Digest } from '@strake/core';
import { FileType, makeNode, setXattr } from '@strake/sys';
import fc from 'fast-check';

import { createSnapshotter, type MountSpec, type Snapshotter, type ViewEntry } from '../src/index.js';
import type { FileStore } from '../src/store.js';
import { file, folder, link, withStore } from './support.js';

const userNamespace = process.geteuid?.() !== 0;
const OPAQUE = userNamespace ? 'user.overlay.opaque' : 'trusted.overlay.opaque';
const NAMES = ['a', 'b', 'c'];

const path = fc.array(fc.constantFrom(...NAMES), { minLength: 1, maxLength: 4 }).map((names) => names.join('/'));
const change = fc.record({
  path,
  what: fc.constantFrom('file', 'folder', 'closed', 'opaque', 'link', 'gone', 'socket'),
});
const question = fc.record({ path: fc.oneof(path, fc.constant('')), deep: fc.boolean() });

const upperOf = (mount: MountSpec): string => (mount.kind === 'overlay' ? (mount.upper ?? '') : '');

/** Does to an upper folder what overlayfs would, or nothing where that cannot be. */
function apply(upper: string, one: { readonly path: string; readonly what: string }): void {
  const at = `${upper}/${one.path}`;
  try {
    mkdirSync(at.slice(0, at.lastIndexOf('/')), { recursive: true });
    switch (one.what) {
      case 'file':
        return writeFileSync(at, one.path, { flag: 'wx' });
      case 'link':
        return symlinkSync('nowhere', at);
      case 'gone':
        return makeNode(at, FileType.char);
      case 'socket':
        return makeNode(at, 0o140000);
      default:
        mkdirSync(at);
    }
    if (one.what === 'opaque') setXattr(at, OPAQUE, Buffer.from('y'));
    if (one.what === 'closed') chmodSync(at, 0o700);
  } catch (error) {
    if (!['ENOTDIR', 'EEXIST', 'ENOENT'].includes((error as { code?: string }).code ?? '')) throw error;
  }
}

async function withOverlay(
  test: (store: FileStore, snapshotter: Snapshotter, base: Digest) => Promise<void>,
): Promise<void> {
  await withStore(async (store) => {
    const snapshotter = createSnapshotter({ store, kind: 'overlay', userNamespace });
    const { diffId } = await store.layers.write([
      ...[folder('a'), folder('a/b', { mode: 0o710 }), file('a/b/a', 'x'), folder('a/b/c'), file('a/b/c/b', 'y')],
      ...[link('a/c', 'b'), folder('b'), file('b/a', 'z'), folder('c', { mode: 0o1777 }), file('c/c', 'c')],
    ]);
    await test(store, snapshotter, diffId);
    await snapshotter.close?.();
  });
}

describe('the outline of a snapshot', () => {
  it('tells of its paths what its layer will', () =>
    withOverlay(async (store, snapshotter, base) => {
      const everything = fc.array(change, { maxLength: 8 });
      await fc.assert(
        fc.asyncProperty(everything, fc.array(question, { minLength: 1, maxLength: 4 }), async (changes, questions) => {
          const { id, mount } = await snapshotter.prepare([base]);
          for (const one of changes) apply(upperOf(mount), one);
          await snapshotter.freeze(id);
          const index = await snapshotter.outline(id, questions);
          assert.ok(index);
          const outlined = await store.layers.view([base, { id: digestOf(id), index }]);
          const { diffId } = await snapshotter.commit(id);
          const written = await store.layers.view([base, diffId]);
          const asked = new Set(questions.flatMap((one) => [one.path, ...above(one.path)]));
          for (const one of questions) if (one.deep) for (const { path } of written.walk(one.path)) asked.add(path);
          for (const one of questions) if (one.deep) for (const { path } of outlined.walk(one.path)) asked.add(path);
          for (const at of asked) assert.deepEqual(factsOf(outlined.lookup(at)), factsOf(written.lookup(at)), at);
        }),
        { numRuns: 150 },
      );
    }));

  it('is not made of thousands of files', () =>
    withOverlay(async (_store, snapshotter, base) => {
      const { id, mount } = await snapshotter.prepare([base]);
      mkdirSync(`${upperOf(mount)}/many`);
      for (let i = 0; i < 5_000; i++) writeFileSync(`${upperOf(mount)}/many/${i}`, '');
      await assert.rejects(snapshotter.outline(id, []), /not frozen/);
      await snapshotter.freeze(id);
      assert.equal(await snapshotter.outline(id, [{ path: 'many', deep: true }]), undefined);
      assert.ok(await snapshotter.outline(id, [{ path: 'many', deep: false }]));
      assert.equal(await snapshotter.outline(id, [{ path: 'x'.repeat(300), deep: false }]), undefined);
      await snapshotter.discard(id);
    }));

  it('lets a layer be unpacked that leaves facts to it, which then is the tree of that layer', () =>
    withOverlay(async (store, snapshotter, base) => {
      const first = await snapshotter.prepare([base]);
      mkdirSync(`${upperOf(first.mount)}/c`);
      chmodSync(`${upperOf(first.mount)}/c`, 0o750);
      mkdirSync(`${upperOf(first.mount)}/new`);
      chmodSync(`${upperOf(first.mount)}/new`, 0o2711);
      await snapshotter.freeze(first.id);
      const { diffId } = await store.layers.write([file('c/x', 'x'), file('new/x', 'x'), file('a/b/x', 'x')]);

      const onUnwritten = [base, { snapshot: first.id }, diffId];
      const [second, twin] = await Promise.all([snapshotter.prepare(onUnwritten), snapshotter.prepare(onUnwritten)]);
      const [tree = ''] = second.mount.kind === 'overlay' ? second.mount.lower : [];
      const mode = (at: string): number => lstatSync(`${tree}/${at}`).mode & 0o7777;
      assert.deepEqual([mode('c'), mode('new'), mode('a/b'), mode('a')], [0o750, 0o2711, 0o710, 0o755]);
      assert.deepEqual(twin.mount.kind === 'overlay' && twin.mount.lower, second.mount.kind === 'overlay' && second.mount.lower); // prettier-ignore
      await snapshotter.discard(twin.id);

      writeFileSync(`${upperOf(second.mount)}/y`, 'y');
      await snapshotter.freeze(second.id);
      const committing = snapshotter.commit(second.id);
      const layers = [base, (await snapshotter.commit(first.id)).diffId, diffId];
      assert.deepEqual((await store.layers.view([(await committing).diffId])).list(''), ['y']);
      const third = await snapshotter.prepare(layers);
      assert.equal(third.mount.kind === 'overlay' && third.mount.lower[0], tree);
      await snapshotter.discard(third.id);
    }));
});

function above(at: string): string[] {
  const slash = at.lastIndexOf('/');
  return slash < 0 ? [''] : [at.slice(0, slash), ...above(at.slice(0, slash))];
}

function factsOf(entry: ViewEntry | undefined): unknown {
  if (!entry) return undefined;
  const { type, mode, uid, gid, size, link: target, xattrs } = entry;
  return { type, mode, uid, gid, size, target, xattrs };
}
