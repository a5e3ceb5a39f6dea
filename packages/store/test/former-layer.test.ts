import assert from 'node:assert/strict';
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';

import { digestOf } from '@strake/core';

import type { LayerEntry } from '../src/index.js';
import { LayerWriter } from '../src/layer/layer-writer.js';
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

/** A test with a folder and a store of its own. */
const test = (what: (root: string, store: Parameters<Parameters<typeof withStore>[0]>[0]) => Promise<void>) => () =>
  withStore((store) => withFolder((root) => what(root, store)));

describe('a layer that is like a former one', () => {
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

describe('a writer that reads a former layer', () => {
  it(
    'closes it once, also where it is cancelled at its end: the number may be another file by then',
    test(async (root, store) => {
      const entries = filesOf(root);
      const { diffId } = await store.layers.write(entries);
      const indexPath = `${store.layout.layers}/${diffId.slice(7)}/index`;
      let cancelled = false;
      const former = { diffId, tarPath: store.blobs.path(diffId), indexPath };
      const writer = new LayerWriter(
        `${root}/tar`,
        (digest) => store.blobs.path(digest),
        former,
        () => cancelled,
      );
      for (const entry of entries.slice(0, 5)) writer.add(entry);
      cancelled = true;
      assert.throws(() => writer.finish({ sync: false }), /aborted/);
      const others = Array.from({ length: 4 }, () => openSync('/dev/null', 'r'));
      writer.abandon();
      for (const fd of others) closeSync(fd);
    }),
  );
});

describe('a former layer with other entries in it', () => {
  it(
    'is hashed from where it is other, and is what writing all of it would give',
    test(async (root, store) => {
      // Large enough for several states of the hash on the way; noise, as zeros are not copied by the kernel.
      let seed = 1;
      const random = (n: number): number => (seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0) % n;
      const text = (length: number): string => `${random(1e9)} `.repeat(length >> 3).slice(0, length) || '-';
      const large = new Map(Array.from({ length: 30 }, (_, i) => [`f${String(i).padStart(3, '0')}`, text(400_000)]));
      let former = (await store.layers.write(filesOf(root, large))).diffId;
      for (let turn = 0; turn < 8; turn++) {
        const names = Array.from({ length: 1 + random(3) }, () => `f${String(random(300)).padStart(3, '0')}`);
        for (const name of names) large.set(name, text(random(3) === 0 ? random(600_000) : random(3000)));
        const entries = filesOf(root, large);
        const changed = entries.filter(({ path }) => names.includes(path.slice(2)));
        if (turn % 2 === 0) await store.layers.settled();
        const amended = await store.layers.amend(former, changed);
        assert.ok(amended);
        assert.equal(digestOf(readFileSync(store.blobs.path(amended.diffId))), amended.diffId, `turn ${turn}`);
        former = amended.diffId;
        const index = readFileSync(`${store.layout.layers}/${former.slice(7)}/index`);
        rmSync(`${store.layout.layers}/${former.slice(7)}`, { recursive: true });
        assert.equal((await store.layers.write(entries)).diffId, former);
        assert.deepEqual(readFileSync(`${store.layout.layers}/${former.slice(7)}/index`), index);
      }
    }),
  ).timeout(120_000);

  it(
    'is what writing all of it would give, tar and index',
    test(async (root, store) => {
      const indexOf = (diffId: string): Buffer => readFileSync(`${store.layout.layers}/${diffId.slice(7)}/index`);
      // What is long enough becomes a hole, also at the end of a piece.
      const zeros = [['f200', '\0'.repeat(3 << 20)], ['f298', '\0'.repeat(5 << 20)]] as const; // prettier-ignore
      const { diffId: former } = await store.layers.write(filesOf(root, new Map(zeros)));
      const changes: readonly (readonly [string, string])[] = [
        ['f000', ''],
        ['f007', 'short'],
        ['f100', 'changed'],
        ['f101', 'f101 '.repeat(304)],
        ['f299', 'long '.repeat(200_000)],
      ];
      for (let count = 0; count <= changes.length; count++) {
        const entries = filesOf(root, new Map([...zeros, ...changes.slice(0, count)]));
        const folders = [{ ...folder('d'), mtime: 5000 + count, mode: 0o700 }];
        const all = [...folders, ...entries.slice(1)];
        const names = changes.slice(0, count).map(([name]) => `d/${name}`);
        const changed = all.filter(({ path }) => path === 'd' || names.includes(path));
        const amended = await store.layers.amend(former, changed.toReversed());
        assert.ok(amended);
        assert.equal(digestOf(readFileSync(store.blobs.path(amended.diffId))), amended.diffId);
        const index = indexOf(amended.diffId);
        rmSync(`${store.layout.layers}/${amended.diffId.slice(7)}`, { recursive: true });
        const written = await store.layers.write(all);
        assert.equal(amended.diffId, written.diffId);
        assert.deepEqual(index, indexOf(written.diffId));
      }
    }),
  );

  it(
    'is not made where that cannot be done, or the former one is not as it was',
    test(async (root, store) => {
      const entries: LayerEntry[] = [
        ...filesOf(root),
        { type: 'symlink', path: 'd/link', link: 'f001', mode: 0o777, uid: 0, gid: 0, size: 0, mtime: 1000 },
        { type: 'hardlink', path: 'd/name', link: 'd/f002', mode: 0o644, uid: 0, gid: 0, size: 0, mtime: 1000 },
      ];
      const { diffId: former } = await store.layers.write(entries);
      const [, , second, third] = entries;
      assert.ok(second?.type === 'file' && third);
      for (const other of [
        { ...second, path: 'd/new' },
        { ...second, path: 'd/link' },
        { ...second, path: 'd/f002' },
        { ...second, path: 'd' },
        { ...second, xattrs: { 'user.a': 'b' } },
        entries.at(-2) as LayerEntry,
        { type: 'whiteout', path: 'd/f001' } as const,
      ]) {
        assert.equal(await store.layers.amend(former, [other]), undefined, other.path);
      }
      assert.ok(await store.layers.amend(former, [second]));
      await assert.rejects(store.layers.amend(former, [{ ...second, size: 7 }]), { code: 'SOURCE_CHANGED' });
      const left = readdirSync(store.layout.tmp);
      // What nobody has touched since it was brought to the disk is not read again.
      await store.layers.settled();
      const { run } = store.pool;
      const kinds: string[] = [];
      store.pool.run = (job, ...rest) => (kinds.push(job.kind), run.call(store.pool, job, ...rest) as never);
      assert.ok(await store.layers.amend(former, [second]));
      assert.deepEqual(kinds, ['amend']);
      const tar = store.blobs.path(former);
      const bytes = readFileSync(tar);
      for (const damaged of [bytes.map((byte, i) => (i === 70_000 ? byte ^ 1 : byte)), bytes.subarray(0, 9000)]) {
        rmSync(tar);
        writeFileSync(tar, damaged);
        assert.equal(await store.layers.amend(former, [second]), undefined);
      }
      assert.deepEqual(readdirSync(store.layout.tmp), left);
    }),
  );
});
