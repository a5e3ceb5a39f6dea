import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, statSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';

import { canonicalJson, digestOf, type Descriptor, type Digest } from '@strake/core';

import { openStore } from '../src/index.js';
import type { FileStore } from '../src/store.js';
import { file, withFolder } from './support.js';

const boot = (): string => readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').replaceAll('-', '').slice(0, 12);

const pathsOf = (root: string, diffId: Digest): { tar: string; info: string; index: string } => {
  const hex = diffId.slice(7);
  return {
    tar: `${root}/blobs/sha256/${hex}`,
    info: `${root}/layers/${hex}/info`,
    index: `${root}/layers/${hex}/index`,
  };
};

const bootIn = (info: string): unknown => (JSON.parse(readFileSync(info, 'utf8')) as { boot?: string }).boot;

/** Makes STORE, closed, one that another boot of the machine left: what this one has written stands there as of that. */
function beforeThisBoot(root: string, unsynced: readonly Digest[]): void {
  writeFileSync(`${root}/boot`, 'another boot');
  for (const diffId of unsynced) {
    const { info } = pathsOf(root, diffId);
    const facts = JSON.parse(readFileSync(info, 'utf8')) as object;
    writeFileSync(info, JSON.stringify({ ...facts, boot: 'another boot' }));
  }
}

/** Content of the right size that is not what it was. */
function tear(path: string): void {
  const size = readFileSync(path).length;
  truncateSync(path, size >> 1);
  truncateSync(path, size);
}

async function image(store: FileStore, diffId: Digest): Promise<Descriptor> {
  const put = async (value: object): Promise<Digest> => (await store.blobs.put(canonicalJson(value))).digest;
  const config = await put({ rootfs: { type: 'layers', diff_ids: [diffId] } });
  const digest = await put({ config: { digest: config }, layers: [{ digest: diffId }] });
  return { mediaType: 'application/vnd.oci.image.manifest.v1+json', digest, size: 1 };
}

describe('a power cut', () => {
  const NOISE = 'noise '.repeat(50_000);

  it('leaves no layer that was not on the disk, but what is right all the same', () =>
    withFolder(async (root) => {
      const before = await openStore({ root });
      const [torn, whole, synced] = await Promise.all(
        ['torn', 'whole', 'synced'].map((name) => before.layers.write([file(name, NOISE + name)])),
      );
      assert.ok(torn && whole && synced);
      await before.close();
      beforeThisBoot(root, [torn.diffId, whole.diffId]);
      tear(pathsOf(root, torn.diffId).tar);

      const after = await openStore({ root });
      assert.equal(await after.layers.size(torn.diffId), undefined);
      assert.equal(await after.blobs.size(torn.diffId), undefined);
      assert.equal(digestOf(readFileSync(pathsOf(root, whole.diffId).tar)), whole.diffId);
      assert.equal(await after.layers.size(synced.diffId), synced.size);
      // Made again, as where a record leads to a layer that is not there.
      const again = await after.layers.write([file('torn', NOISE + 'torn')]);
      assert.equal(again.diffId, torn.diffId);
      assert.equal(digestOf(readFileSync(pathsOf(root, torn.diffId).tar)), torn.diffId);
      await after.close();
    }));

  it('takes nothing that a name promises, whoever wrote it', () =>
    withFolder(async (root) => {
      // One that is killed has written the layer, another one names it.
      const writer = await openStore({ root });
      const { diffId } = await writer.layers.write([file('f', NOISE)]);
      await writer.close();
      const { info } = pathsOf(root, diffId);
      const facts = JSON.parse(readFileSync(info, 'utf8')) as object;
      writeFileSync(info, JSON.stringify({ ...facts, boot: boot() }));
      const store = await openStore({ root });
      await store.references.set('docker.io/library/a:1', await image(store, diffId));
      assert.equal(bootIn(info), undefined);
      await store.close();
    }));

  it('finds no layer that took the place of one that was on the disk', () =>
    withFolder(async (root) => {
      const store = await openStore({ root });
      const { diffId } = await store.layers.write([file('f', NOISE)]);
      await store.layers.settled();
      const { tar, info } = pathsOf(root, diffId);
      const { ino } = statSync(tar);
      await store.layers.write([file('f', NOISE)]);
      assert.equal(statSync(tar).ino, ino);
      assert.equal(bootIn(info), undefined);
      assert.deepEqual(readdirSync(`${root}/tmp`), []);
      await store.close();
    }));

  it('is looked for once in a boot, and not while somebody of another boot may live', () =>
    withFolder(async (root) => {
      const before = await openStore({ root });
      const { diffId } = await before.layers.write([file('f', NOISE)]);
      await before.close();
      beforeThisBoot(root, [diffId]);
      const lease = `${root}/leases/abcdefgh`;
      const holder = { id: 'abcdefgh', pid: 1, start: '1', namespace: 'another', boot: 'another boot', holds: [] };
      writeFileSync(lease, JSON.stringify(holder));
      const beside = await openStore({ root });
      assert.equal(await beside.layers.size(diffId), undefined);
      assert.ok(existsSync(pathsOf(root, diffId).tar));
      await beside.close();
      utimesSync(lease, 1000, 1000);
      const after = await openStore({ root });
      assert.equal(readFileSync(`${root}/boot`, 'utf8'), boot());
      assert.ok(!existsSync(pathsOf(root, diffId).index));
      await after.close();
    }));
});
