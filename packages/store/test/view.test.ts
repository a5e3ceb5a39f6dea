import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, rmSync, symlinkSync } from 'node:fs';

import type { Digest } from '@strake/core';
import { mount, unmount } from '@strake/sys';
import fc from 'fast-check';

import type { LayerEntry, MountSpec, TreeView } from '../src/index.js';
import { createSnapshotter } from '../src/index.js';
import { layer } from './random-layer.js';
import { failsWith, file, folder, hardlink, link, withFolder, withStore } from './support.js';

/** What a tree shows of a path: enough to tell all entries of the tests apart. */
type Shown = string;

/** The reference: layers applied one after the other to a map, as the OCI specification tells it. */
function applyAll(layers: readonly (readonly LayerEntry[])[]): Map<string, Shown> {
  const tree = new Map<string, Shown>();
  const removeBelow = (path: string): void => {
    for (const other of [...tree.keys()]) if (other.startsWith(`${path}/`)) tree.delete(other);
  };
  for (const layer of layers) {
    // Whiteouts and opaque marks concern what lies below, wherever they stand.
    for (const entry of layer) {
      if (entry.type === 'whiteout') {
        removeBelow(entry.path);
        tree.delete(entry.path);
      } else if (entry.opaque) removeBelow(entry.path);
    }
    for (const entry of layer) {
      if (entry.type === 'whiteout') continue;
      const parts = entry.path.split('/');
      for (let i = 1; i < parts.length; i++) {
        const parent = parts.slice(0, i).join('/');
        if (tree.get(parent)?.startsWith('directory') !== true) tree.set(parent, 'directory 755');
      }
      if (entry.type !== 'directory') removeBelow(entry.path);
      const before = entry.type === 'hardlink' ? tree.get(entry.link ?? '') : undefined;
      tree.set(entry.path, before ?? show(entry));
    }
  }
  return tree;
}

function show(entry: Exclude<LayerEntry, { type: 'whiteout' }>): Shown {
  const text = entry.content?.kind === 'bytes' ? Buffer.from(entry.content.bytes).toString() : (entry.link ?? '');
  return entry.type === 'directory' ? `directory ${entry.mode.toString(8)}` : `${entry.type} ${text}`;
}

async function showView(view: TreeView): Promise<Map<string, Shown>> {
  const tree = new Map<string, Shown>();
  for (const entry of view.walk('')) {
    if (entry.path === '') continue;
    const content = entry.type === 'file' ? (await view.read(entry, 1e6)).toString() : (entry.link ?? '');
    tree.set(
      entry.path,
      entry.type === 'directory' ? `directory ${entry.mode.toString(8)}` : `${entry.type} ${content}`,
    );
  }
  return tree;
}

function showFolder(root: string, below = '', tree = new Map<string, Shown>()): Map<string, Shown> {
  for (const name of readdirSync(below === '' ? root : `${root}/${below}`)) {
    const path = below === '' ? name : `${below}/${name}`;
    const stats = lstatSync(`${root}/${path}`);
    if (stats.isDirectory()) {
      tree.set(path, `directory ${(stats.mode & 0o7777).toString(8)}`);
      showFolder(root, path, tree);
    } else if (stats.isSymbolicLink()) tree.set(path, `symlink ${readlinkSync(`${root}/${path}`)}`);
    else tree.set(path, `file ${readFileSync(`${root}/${path}`, 'utf8')}`);
  }
  return tree;
}

function sorted(tree: Map<string, Shown>): [string, Shown][] {
  return [...tree].sort(([a], [b]) => (a < b ? -1 : 1));
}

function withMount<T>(spec: MountSpec, target: string, use: () => T): T {
  // Copy snapshots are folders; a link shows them at the same place.
  if (spec.kind === 'bind') {
    rmSync(target, { recursive: true, force: true });
    symlinkSync(spec.source, target);
    try {
      return use();
    } finally {
      rmSync(target);
    }
  }
  const lower = `lowerdir=${spec.lower.join(':')}`;
  const upper = spec.upper === undefined ? [] : [`upperdir=${spec.upper}`, `workdir=${spec.work ?? ''}`];
  mkdirSync(target, { recursive: true });
  mount('overlay', target, 'overlay', 0, [lower, ...upper, ...spec.options].join(','));
  try {
    return use();
  } finally {
    unmount(target);
  }
}

const isRoot = process.getuid?.() === 0;
let counter = 0;
const chain = fc.array(layer, { minLength: 1, maxLength: 4 });

describe('views', () => {
  it('equal layers applied one after the other', async function () {
    this.timeout(60_000);
    await withStore((store) =>
      fc.assert(
        fc.asyncProperty(chain, async (layers) => {
          const ids: Digest[] = [];
          for (const entries of layers) ids.push((await store.layers.write(entries)).diffId);
          const view = await store.layers.view(ids);
          const seen = await showView(view);
          assert.deepEqual(sorted(seen), sorted(applyAll(layers)));
          for (const [at, shown] of seen) {
            const entry = view.lookup(at);
            assert.ok(entry);
            assert.equal(entry.path, at);
            assert.ok(shown.startsWith(entry.type));
            const parent = at.split('/').slice(0, -1).join('/');
            assert.ok(view.list(parent).includes(at.slice(parent === '' ? 0 : parent.length + 1)));
            const below = (name: string): string => (at === '' ? name : `${at}/${name}`);
            const children = view.list(at).map((name) => view.lookup(below(name)));
            assert.deepEqual([...view.children(at)], children);
          }
          assert.equal(view.lookup('a/b/c/d/e'), undefined);
        }),
        { numRuns: 150 },
      ),
    );
  });

  for (const kind of ['overlay', 'copy'] as const) {
    it(`equal what ${kind} snapshots show of the unpacked layers, and commits give back what was changed`, async function () {
      if (!isRoot) this.skip();
      this.timeout(120_000);
      await withFolder((scratch) =>
        withStore((store) =>
          fc.assert(
            fc.asyncProperty(chain, chain, async (layers, changes) => {
              const snapshotter = createSnapshotter({ store, kind, userNamespace: false });
              const ids: Digest[] = [];
              for (const entries of layers) ids.push((await store.layers.write(entries)).diffId);
              const view = await store.layers.view(ids);
              const spec = await snapshotter.mountReadOnly(ids);
              const seen = withMount(spec, `${scratch}/ro`, () => showFolder(`${scratch}/ro`));
              assert.deepEqual(sorted(seen), sorted(await showView(view)));
              const { id, mount: writable } = await snapshotter.prepare(ids);
              // Any changes: those that fit what is there by now.
              const after = withMount(writable, `${scratch}/rw`, () => {
                const script = changes.flat().map((entry) => {
                  const at = `'${scratch}/rw/${entry.path}'`;
                  if (entry.type === 'whiteout') return `rm -rf ${at}`;
                  if (entry.type === 'directory') return `mkdir ${at}; chmod ${entry.mode.toString(8)} ${at}`;
                  if (entry.type === 'file') return `echo ${counter++} > ${at}`;
                  if (entry.type === 'symlink') return `ln -sfn a/b ${at}`;
                  return `ln '${scratch}/rw/${entry.link ?? ''}' ${at}`;
                });
                execFileSync('sh', ['-c', `(${script.join('\n')}\ntrue) 2>/dev/null`]);
                return showFolder(`${scratch}/rw`);
              });
              await snapshotter.freeze(id);
              const { diffId } = await snapshotter.commit(id);
              const changed = await store.layers.view([...ids, diffId]);
              assert.deepEqual(sorted(await showView(changed)), sorted(after));
              const again = await snapshotter.mountReadOnly([...ids, diffId]);
              assert.deepEqual(
                sorted(withMount(again, `${scratch}/ro`, () => showFolder(`${scratch}/ro`))),
                sorted(after),
              );
              await snapshotter.close?.();
            }),
            { numRuns: 40 },
          ),
        ),
      );
    });
  }

  it('follow links inside the root only', () =>
    withStore(async (store) => {
      const { diffId } = await store.layers.write([
        folder('d'),
        folder('d/e'),
        link('abs', '/d/e'),
        link('up', '../../../../d'),
        link('d/rel', './e/../../d'),
        link('dangling', 'no/such'),
        link('loop', 'loop'),
        link('x', 'y'),
        link('y', 'x'),
        file('d/e/f', 'x'),
      ]);
      const view = await store.layers.view([diffId]);
      const wanted: Readonly<Record<string, string>> = {
        'abs/f': 'd/e/f',
        'up/e': 'd/e',
        'd/rel/rel/e': 'd/e',
        dangling: 'no/such',
        'dangling/more': 'no/such/more',
        'd/../../../abs/.': 'd/e',
        '': '',
        'nothing/../d': 'd',
      };
      for (const [from, to] of Object.entries(wanted)) assert.equal(view.resolve(from), to, from);
      assert.equal(view.resolve('abs', { nofollow: true }), 'abs');
      assert.equal(view.resolve('up/rel', { nofollow: true }), 'd/rel');
      for (const loop of ['loop', 'x', 'loop/y']) assert.throws(() => view.resolve(loop), failsWith('LINK_LOOP'));
      assert.equal(view.lookup('abs/f'), undefined);
    }));

  it('hide everything below an opaque root, as its mount does', () =>
    withStore(async (store) => {
      const lower = await store.layers.write([file('lower', 'x')]);
      const upper = await store.layers.write([folder('', { opaque: true, mode: 0o711 }), file('mine', 'x')]);
      const view = await store.layers.view([lower.diffId, upper.diffId]);
      assert.deepEqual(view.list(''), ['mine']);
      assert.equal(view.lookup('lower'), undefined);
      assert.equal(view.lookup('')?.mode, 0o711);
      if (!isRoot) return;
      const snapshotter = createSnapshotter({ store, kind: 'overlay', userNamespace: false });
      const { id, mount: spec } = await snapshotter.prepare([lower.diffId, upper.diffId]);
      assert.equal(spec.kind === 'overlay' && spec.lower.length, 1);
      await snapshotter.discard(id);
    }));

  it('resolve hard links to layers below, for mounts too', async function () {
    await withFolder((scratch) =>
      withStore(async (store) => {
        const lower = await store.layers.write([folder('d', { mode: 0o711 }), file('d/f', 'text', { uid: 7 })]);
        const upper = await store.layers.write([hardlink('d/h', 'd/f')]);
        const view = await store.layers.view([lower.diffId, upper.diffId]);
        const entry = view.lookup('d/h');
        assert.ok(entry);
        assert.equal((await view.read(entry, 10)).toString(), 'text');
        assert.equal(entry.inode, view.lookup('d/f')?.inode);
        assert.equal(view.lookup('d')?.mode, 0o711);
        await assert.rejects(store.layers.view([upper.diffId]), failsWith('LAYER_INVALID', /hard link/));
        if (!isRoot) return;
        const snapshotter = createSnapshotter({ store, kind: 'overlay', userNamespace: false });
        const spec = await snapshotter.mountReadOnly([lower.diffId, upper.diffId]);
        withMount(spec, `${scratch}/m`, () => {
          assert.equal(readFileSync(`${scratch}/m/d/h`, 'utf8'), 'text');
          assert.equal(lstatSync(`${scratch}/m/d/h`).uid, 7);
          assert.equal(lstatSync(`${scratch}/m/d`).mode & 0o7777, 0o711);
        });
      }),
    );
  });

  it('show what the chain has, where an equal layer was made on another chain', async function () {
    if (!isRoot) this.skip();
    await withFolder((scratch) =>
      withStore(async (store) => {
        const snapshotter = createSnapshotter({ store, kind: 'overlay', userNamespace: false });
        const made = async (below: Digest, script: string): Promise<Digest> => {
          const { id, mount: writable } = await snapshotter.prepare([below]);
          withMount(writable, `${scratch}/rw`, () => execFileSync('sh', ['-ec', script], { cwd: `${scratch}/rw` }));
          await snapshotter.freeze(id);
          return (await snapshotter.commit(id)).diffId;
        };
        const shown = async (...chain: Digest[]): Promise<string> => {
          const spec = await snapshotter.mountReadOnly(chain);
          return withMount(spec, `${scratch}/ro`, () => sorted(showFolder(`${scratch}/ro`)).join('; '));
        };
        // What was copied up and is as it was is no part of a layer, but lies in the folder that the layer was made from.
        const { diffId: one } = await store.layers.write([file('f', 'one'), folder('gone', { mode: 0o700 })]);
        const { diffId: two } = await store.layers.write([file('f', 'two')]);
        const nothing = await made(one, 'chmod 644 f; chmod 755 gone; chmod 700 gone');
        assert.equal(await made(two, 'true'), nothing);
        assert.equal(await shown(one, nothing), 'f,file one; gone,directory 700');
        assert.equal(await shown(two, nothing), 'f,file two');
        // overlayfs marks each new folder as opaque.
        const { diffId: full } = await store.layers.write([folder('d'), file('d/below', 'x')]);
        const fresh = await made(two, 'mkdir -m 711 d; touch -d @7 d');
        assert.equal(await made(full, 'chmod 711 d; touch -d @7 d'), fresh);
        assert.equal(await shown(two, fresh), 'd,directory 711; f,file two');
        assert.equal(await shown(full, fresh), 'd,directory 711; d/below,file x');
      }),
    );
  });

  it('mount chains of 300 layers', async function () {
    if (!isRoot) this.skip();
    this.timeout(60_000);
    await withFolder((scratch) =>
      withStore(async (store) => {
        const ids: Digest[] = [];
        for (let i = 0; i < 300; i++)
          ids.push((await store.layers.write([folder('l'), file(`l/${i}`, `${i}`)])).diffId);
        const snapshotter = createSnapshotter({ store, kind: 'overlay', userNamespace: false });
        const { id, mount: spec } = await snapshotter.prepare(ids);
        assert.ok(spec.kind === 'overlay' && spec.lower.length <= 130);
        const short = spec.lower.map((path) => path.replace(`${store.root}/snapshots/`, ''));
        assert.ok(short.join(':').length < 2000);
        const cwd = process.cwd();
        process.chdir(`${store.root}/snapshots`);
        try {
          withMount({ ...spec, lower: short }, `${scratch}/m`, () => {
            assert.equal(readdirSync(`${scratch}/m/l`).length, 300);
          });
        } finally {
          process.chdir(cwd);
        }
        await snapshotter.discard(id);
      }),
    );
  });
});
