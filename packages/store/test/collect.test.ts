import assert from 'node:assert/strict';
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  rmSync,
  statfsSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { canonicalJson, digestOf, type Digest } from '@strake/core';

import { openStore, type CacheItem, type Inventory, type Store } from '../src/index.js';
import { freeBytes } from '../src/files.js';
import { defaultLimits } from '../src/gc/collect.js';
import { selectItems } from '../src/gc/select.js';

const digest = (name: string): Digest => digestOf(name);

function item(name: string, used: number, holds: readonly Digest[], more: Partial<CacheItem> = {}): CacheItem {
  const id = digest(name);
  return { id, type: 'regular', description: name, created: 0, used, size: 0, holds, shared: false, ...more };
}

describe('file systems that count no blocks, as ramfs', () => {
  it('have no end: nothing is refused or collected for the size of the disk', async () => {
    assert.equal(statfsSync('/proc').blocks, 0);
    assert.equal(freeBytes(statfsSync('/proc')), Infinity);
    assert.deepEqual(await defaultLimits('/proc'), { reserved: 10e9, maxUsed: 100e9, minFree: 0 });
    assert.equal(freeBytes({ blocks: 10, bavail: 3, bsize: 4096 }), 12288);
  });
});

describe('choice of what is collected', () => {
  const [a, b, c] = [digest('layer a'), digest('layer b'), digest('layer c')];
  const inventory: Inventory = {
    images: [],
    leased: new Set(),
    items: [
      item('one', 1, [a]),
      item('two', 2, [a, b]),
      item('three', 3, [a, c]),
      item('named', 0, [a], { shared: true }),
    ],
    sizes: new Map([
      [a, 100],
      [b, 10],
      [c, 1],
    ]),
    garbage: [],
    trees: { count: 0, size: 0 },
  };
  const chosen = (selection: Parameters<typeof selectItems>[1]): string[] =>
    selectItems(inventory, selection).map(({ description }) => description);

  it('spares what named images hold too, but with all', () => {
    assert.deepEqual(chosen({}), ['one', 'two', 'three']);
    assert.deepEqual(chosen({ all: true }), ['named', 'one', 'two', 'three']);
  });

  it('goes by last use until the rest is small enough, a shared layer counted once', () => {
    assert.deepEqual(chosen({ keep: 111 }), []);
    assert.deepEqual(chosen({ keep: 110 }), ['one', 'two']);
    assert.deepEqual(chosen({ keep: 0 }), ['one', 'two', 'three']);
  });

  it('filters by age, id, description', () => {
    assert.deepEqual(chosen({ before: 2 }), ['one']);
    assert.deepEqual(chosen({ descriptions: ['t', 'o'] }), ['two']);
    assert.deepEqual(chosen({ ids: [digest('three').slice(7, 20)] }), ['three']);
  });
});

describe('collection', () => {
  let root: string;
  let stores: Store[];
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'collect-'));
    stores = [];
  });
  afterEach(async () => {
    for (const store of stores) await store.close();
    rmSync(root, { recursive: true });
  });
  const open = async (): Promise<Store> => {
    const store = await openStore({ root });
    stores.push(store);
    return store;
  };
  const collect = (store: Store, all = false): ReturnType<Store['collect']> =>
    store.collect({ selections: [{ all }], removeTree: (path) => store.removeTree(path) });
  const layer = async (store: Store, text: string): Promise<Digest> => {
    const facts = { mode: 0o644, uid: 0, gid: 0, mtime: 0 };
    const bytes = Buffer.from(text);
    const entry = { path: 'f', type: 'file', size: bytes.length, content: { kind: 'bytes', bytes }, ...facts } as const;
    return (await store.layers.write([entry])).diffId;
  };
  const image = async (store: Store, name: string, diffId: Digest): Promise<void> => {
    const config = await store.blobs.put(canonicalJson({ rootfs: { type: 'layers', diff_ids: [diffId] } }));
    const layers = [{ mediaType: 'tar', digest: diffId, size: 1 }];
    const manifest = await store.blobs.put(canonicalJson({ config: { mediaType: 'c', ...config }, layers }));
    await store.references.set(name, { mediaType: 'application/vnd.oci.image.manifest.v1+json', ...manifest });
  };

  it('removes records, then what nothing holds; never what a name holds', async () => {
    const store = await open();
    const kept = await layer(store, 'kept');
    const lost = await layer(store, 'lost');
    await image(store, 'docker.io/library/app:latest', kept);
    const records = [kept, lost].map((diffId) => ({ diffId, key: digest(`key ${diffId}`) }));
    for (const { key, diffId } of records) {
      await store.records.put(key, { identity: key, name: 'step', created: 1, result: { layers: [{ diffId }] } });
    }
    const { removed, freed, deferred } = await collect(store);
    assert.equal(deferred, false);
    assert.deepEqual(
      removed.map(({ id }) => id),
      [records[1]?.key],
    );
    assert.ok(freed > 0);
    assert.ok(await store.layers.info(kept));
    assert.equal(await store.layers.info(lost), undefined);
    assert.equal(await store.blobs.size(lost), undefined);
    await store.references.remove('docker.io/library/app:latest');
    await collect(store, true);
    assert.deepEqual(readdirSync(join(root, 'blobs/sha256')), []);
    assert.deepEqual(readdirSync(join(root, 'layers')), []);
  });

  it('leaves data alone while another uses the store, and is made up for later', async () => {
    const [mine, other] = [await open(), await open()];
    const use = await other.use('build');
    const made = await layer(other, 'not yet named');
    assert.equal((await collect(mine)).deferred, true);
    assert.ok(await other.layers.info(made));
    await use.release();
    const limits = { reserved: 1e9, maxUsed: 1e9, minFree: 0 };
    const collected = await mine.keepWithin(limits, (path) => mine.removeTree(path), Date.now());
    assert.equal(collected?.deferred, false);
    assert.equal(await other.layers.info(made), undefined);
    assert.equal(await mine.keepWithin(limits, (path) => mine.removeTree(path), Date.now()), undefined);
  });

  it('leaves what a lease names, with its unpacked trees, while collections go on', async () => {
    const [mine, other] = [await open(), await open()];
    const [leased, lost] = [await layer(other, 'running'), await layer(other, 'lost')];
    const tree = (diffId: Digest): string => join(root, 'layers', diffId.slice('sha256:'.length), 'tree-of-a-test');
    for (const diffId of [leased, lost]) symlinkSync('../../snapshots/nothing', tree(diffId));
    const first = await other.lease([leased]);
    const second = await other.lease([leased]);
    for (const release of [first, second]) {
      assert.equal(
        (await mine.collect({ selections: [{}], allTrees: true, removeTree: () => Promise.resolve() })).deferred,
        false,
      );
      assert.ok(await other.layers.info(leased));
      assert.equal(readlinkSync(tree(leased)), '../../snapshots/nothing');
      assert.equal(await other.layers.info(lost), undefined);
      await release.release();
    }
    await collect(mine);
    assert.equal(await other.layers.info(leased), undefined);
  });

  it('lets one that comes during a collection wait until it has ended', async () => {
    const [mine, other] = [await open(), await open()];
    let wasCollecting: boolean | undefined;
    let use: Promise<unknown> | undefined;
    const done = mine.collect({
      selections: [],
      removeTree: () => Promise.resolve(),
      // Called while the collection's lock is held.
      images: () => {
        writeFileSync(join(root, 'collecting'), '');
        use = other.use('build').then(() => (wasCollecting = existsSync(join(root, 'collecting'))));
        return [];
      },
    });
    await done;
    assert.ok(use);
    await use;
    assert.equal(wasCollecting, false);
  });

  it('takes away the mark of a collection that died', async () => {
    const store = await open();
    writeFileSync(join(root, 'collecting'), 'nobody');
    await (await store.use('build')).release();
    assert.ok(!existsSync(join(root, 'collecting')));
  });

  it('a step that something newer stands on counts as used', async () => {
    const store = await open();
    const diffId = await layer(store, 'x');
    const [parent, child] = [digest('parent'), digest('child')];
    const record = (identity: Digest, inputs: readonly Digest[]): unknown => ({
      identity,
      name: 's',
      created: 1,
      parts: { inputs },
      result: { layers: [{ diffId }] },
    });
    await store.records.put(parent, record(parent, []));
    await store.records.put(child, record(child, [parent]));
    const { items } = await store.inventory();
    const used = (id: Digest): number => items.find((one) => one.id === id)?.used ?? 0;
    assert.equal(used(parent), used(child));
  });
});
