import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { collect, digestOf, type Digest } from '@strake/core';
import { mount, unmount } from '@strake/sys';

import { openStore } from '../src/index.js';
import { failsWith, file, withFolder, withStore } from './support.js';

const CHILD = fileURLToPath(new URL('./holder-child.js', import.meta.url));
const run = promisify(execFile);
const isRoot = process.getuid?.() === 0;

describe('store', () => {
  it('refuses a newer format, and leaves it alone', () =>
    withFolder(async (root) => {
      writeFileSync(`${root}/format`, '99\n');
      await assert.rejects(openStore({ root }), failsWith('STORE_VERSION', /99/));
      assert.deepEqual(readdirSync(root), ['format']);
    }));

  it('refuses a folder that it cannot use, with the reason', () =>
    withFolder(async (root) => {
      writeFileSync(`${root}/file`, '');
      await assert.rejects(openStore({ root: `${root}/file` }), failsWith('STORE_DENIED'));
      await assert.rejects(openStore({ root: '/proc/strake/store' }), failsWith('STORE_DENIED'));
      await assert.rejects(openStore({ root: 'relative' }), failsWith('STORE_DENIED'));
    }));

  it('is closed to other users', () =>
    withFolder(async (root) => {
      const store = await openStore({ root: `${root}/s` });
      assert.equal(statSync(`${root}/s`).mode & 0o77, 0);
      await store.close();
    }));

  it('loads no native code before a lock or a snapshot needs it', async () => {
    const script = `
      const { openStore } = await import(${JSON.stringify(new URL('../src/index.js', import.meta.url).href)});
      const store = await openStore({ root: process.argv[1] });
      await store.references.set('docker.io/library/a:b', { mediaType: 'x', digest: 'sha256:' + 'a'.repeat(64), size: 1 });
      await (await store.lease(['x'])).release();
      await store.close();
      console.log(process.report.getReport().sharedObjects.filter((path) => path.endsWith('.node')).length);`;
    await withFolder(async (root) => {
      const { stdout } = await run(process.execPath, ['--input-type=module', '-e', script, `${root}/s`]);
      assert.equal(stdout.trim(), '0');
    });
  });
});

describe('blobs', () => {
  it('that end in zeros have all of them, wherever their bytes are gathered', () =>
    withStore(async (store) => {
      for (const size of [1 << 16, 1 << 18, 1 << 20, (1 << 20) + 1]) {
        const zeros = (async function* () {
          for (let at = 0; at < size; at += 1 << 16)
            yield await Promise.resolve(Buffer.alloc(Math.min(1 << 16, size - at)));
        })();
        const { digest } = await store.blobs.put(zeros);
        assert.equal(digest, digestOf(Buffer.alloc(size)));
        assert.equal(statSync(store.blobs.path(digest)).size, size);
      }
    }));

  it('give back ranges of what was put', () =>
    withStore(async ({ blobs }) => {
      const { digest, size } = await blobs.put('hello world');
      assert.equal(digest, digestOf('hello world'));
      assert.equal(size, 11);
      const part = async (start?: number, end?: number): Promise<string> =>
        (await collect(blobs.open(digest, { start, end }), 100)).toString();
      assert.deepEqual(
        [await part(), await part(6), await part(0, 5), await part(3, 3), await part(6, 99)],
        ['hello world', 'world', 'hello', '', 'world'],
      );
      assert.equal((await blobs.read(digest, 11)).toString(), 'hello world');
      await assert.rejects(blobs.read(digest, 10), failsWith('TOO_LARGE'));
    }));

  it('fail for what is not there', () =>
    withStore(async ({ blobs }) => {
      const digest = digestOf('none');
      assert.equal(await blobs.size(digest), undefined);
      await assert.rejects(blobs.read(digest, 1), failsWith('BLOB_NOT_FOUND'));
      await assert.rejects(collect(blobs.open(digest), 1), failsWith('BLOB_NOT_FOUND'));
      await assert.rejects(collect(blobs.open(digest, { start: 1, end: 1 }), 1), failsWith('BLOB_NOT_FOUND'));
    }));

  it('keep nothing that is not what was expected', () =>
    withStore(async (store) => {
      const { blobs } = store;
      const digest = digestOf('right');
      await assert.rejects(blobs.put('wrong', { digest }), failsWith('DIGEST_MISMATCH'));
      await assert.rejects(blobs.put('right', { digest, size: 4 }), failsWith('DIGEST_MISMATCH'));
      await assert.rejects(blobs.put('right', { digest, size: 6 }), failsWith('DIGEST_MISMATCH'));
      const controller = new AbortController();
      const endless = (async function* (): AsyncGenerator<Uint8Array> {
        for (let i = 0; ; i++) {
          if (i === 100) controller.abort();
          await Promise.resolve();
          yield Buffer.alloc(1000);
        }
      })();
      await assert.rejects(blobs.put(endless, {}, controller.signal), failsWith('CANCELLED'));
      assert.equal(await blobs.size(digest), undefined);
      assert.deepEqual(readdirSync(store.layout.tmp), []);
    }));

  it('fail with DISK_FULL where there is no room, and leave nothing half-written', async function () {
    if (!isRoot) this.skip();
    await withFolder(async (root) => {
      mount('tmpfs', root, 'tmpfs', 0, 'size=4m,mode=700');
      try {
        const store = await openStore({ root: `${root}/s` });
        const noise = Buffer.alloc(8 << 20, 7);
        await assert.rejects(store.blobs.put(noise), failsWith('DISK_FULL'));
        const big = file('big', '', { size: noise.length, content: { kind: 'bytes', bytes: noise } });
        await assert.rejects(store.layers.write([big]), failsWith('DISK_FULL'));
        assert.deepEqual(readdirSync(store.layout.tmp), []);
        assert.deepEqual(readdirSync(store.layout.blobs), []);
        assert.ok(await store.layers.write([file('small', 'x')]));
        await store.close();
      } finally {
        unmount(root);
      }
    });
  });
});

describe('references', () => {
  it('are set, listed, replaced and removed', () =>
    withStore(async ({ references }) => {
      const target = { mediaType: 'm', digest: digestOf('x'), size: 1 };
      await references.set('docker.io/library/b:1', target);
      await references.set('docker.io/library/a:1', target);
      await references.set('docker.io/library/a:1', { ...target, size: 2 });
      assert.deepEqual(
        (await references.list()).map(({ name, target: { size } }) => [name, size]),
        [
          ['docker.io/library/a:1', 2],
          ['docker.io/library/b:1', 1],
        ],
      );
      assert.equal((await references.get('docker.io/library/b:1'))?.target.digest, target.digest);
      assert.equal(await references.get('../../b'), undefined);
      assert.equal(await references.remove('docker.io/library/a:1'), true);
      assert.equal(await references.remove('docker.io/library/a:1'), false);
    }));
});

describe('records', () => {
  it('are kept by key, and a damaged one is a miss', () =>
    withStore(async (store) => {
      const { records } = store;
      const key = digestOf('key');
      assert.equal(await records.get(key), undefined);
      await records.put(key, { a: [1] });
      assert.deepEqual(await records.get(key), { a: [1] });
      const path = `${store.layout.cache}/${key.slice(7, 9)}/${key.slice(7)}`;
      utimesSync(path, 1000, 1000);
      records.touch(key);
      records.touch(digestOf('gone'));
      records.flush();
      assert.ok(statSync(path).mtimeMs > 1e9);
      const listed = [];
      for await (const one of records.list()) listed.push([one.key, one.record]);
      assert.deepEqual(listed, [[key, { a: [1] }]]);
      writeFileSync(path, '{"a": [');
      assert.equal(await records.get(key), undefined);
      await records.remove(key);
      await records.remove(key);
    }));
});

describe('notes about a context', () => {
  it('are bytes, replaced whole', () =>
    withStore(async (store) => {
      assert.equal(await store.contextNotes('/ctx').read(), undefined);
      for (const text of ['first', 'second']) {
        await store.contextNotes('/ctx').write([Buffer.from(text), Buffer.from('!')]);
        assert.equal(String(await store.contextNotes('/ctx').read()), `${text}!`);
      }
      assert.equal(await store.contextNotes('/other').read(), undefined);
    }));
});

describe('locks and leases', () => {
  it('let one in at a time, in order, and give up when cancelled', () =>
    withStore(async (store) => {
      const first = await store.lock('x');
      assert.equal(await store.tryLock('x'), undefined);
      const order: number[] = [];
      const waiting = [1, 2, 3].map(async (number) => {
        const lock = await store.lock('x');
        order.push(number);
        await lock.release();
      });
      const controller = new AbortController();
      const cancelled = assert.rejects(store.lock('x', controller.signal), failsWith('CANCELLED'));
      controller.abort();
      await cancelled;
      await first.release();
      await first.release();
      await Promise.all(waiting);
      assert.deepEqual(order, [1, 2, 3]);
      const again = await store.tryLock('x');
      assert.ok(again);
      await again.release();
      assert.deepEqual(readdirSync(store.layout.locks), []);
    }));

  it('hold between processes', async function () {
    this.timeout(60_000);
    await withStore(async (store) => {
      writeFileSync(`${store.root}/counter`, '0');
      await Promise.all([1, 2, 3].map(() => run(process.execPath, [CHILD, store.root, 'count'])));
      assert.equal(readFileSync(`${store.root}/counter`, 'utf8'), '60');
    });
  });

  it('let several processes write the same and other layers', async function () {
    this.timeout(60_000);
    await withStore(async (store) => {
      const outputs = await Promise.all(
        ['same', 'same', 'other'].map((what) => run(process.execPath, [CHILD, store.root, what])),
      );
      const ids = outputs.map(({ stdout }) => new Set(stdout.trim().split('\n')));
      assert.deepEqual(ids[0], ids[1]);
      assert.equal((await store.references.list()).length, 11);
      for (const id of new Set(ids.flatMap((set) => [...set]))) {
        const info = await store.layers.info(id as Digest);
        assert.equal(info?.compressed.length, 1);
        assert.equal(digestOf(await collect(store.blobs.open(id as Digest), 1e7)), id);
      }
      assert.deepEqual(await store.findLeftovers(), []);
    });
  });

  it('end with a process that is killed, and what it left is found and removed', async function () {
    this.timeout(60_000);
    await withStore(async (store) => {
      const child = spawn(process.execPath, [CHILD, store.root, 'hang'], { stdio: ['ignore', 'pipe', 'inherit'] });
      try {
        await once(child.stdout, 'data');
        assert.deepEqual(await store.findLeftovers(), []);
        assert.equal(await store.tryLock('held'), undefined);
        const other = await openStore({ root: store.root });
        assert.equal(readdirSync(store.layout.tmp).length, 1);
        await other.close();
      } finally {
        child.kill('SIGKILL');
        await once(child, 'exit');
      }
      const lock = await store.tryLock('held');
      assert.ok(lock);
      await lock.release();
      const found = await store.findLeftovers();
      assert.deepEqual(found.map(({ what }) => what).sort(), [
        'a lease of a process that is gone',
        'a snapshot that nothing uses',
        'a snapshot that nothing uses',
        'a snapshot that nothing uses',
        'a temporary file',
      ]);
      const next = await openStore({ root: store.root });
      assert.deepEqual(readdirSync(store.layout.tmp), []);
      assert.deepEqual(
        (await next.findLeftovers()).map(({ what }) => what),
        ['a snapshot that nothing uses', 'a snapshot that nothing uses', 'a snapshot that nothing uses'],
      );
      await next.close();
    });
  });

  it('name a cache mount by its id only', () =>
    withStore(async (store) => {
      const path = await store.cacheMounts.folder('../../../etc');
      assert.ok(path.startsWith(`${store.root}/mounts/`) && !path.includes('..'));
      assert.equal(await store.cacheMounts.folder('../../../etc'), path);
      assert.notEqual(await store.cacheMounts.folder('x'), path);
      const temporary = await store.temporary('../x');
      assert.ok(temporary.path.startsWith(`${store.root}/tmp/`));
      mkdirSync(`${temporary.path}/d`);
      await temporary.remove();
    }));

  it('leave a cache mount as it was, and nothing beside it, where the folder that is to take its place cannot be filled', () =>
    withStore(async (store) => {
      const path = await store.cacheMounts.folder('x');
      writeFileSync(`${path}/kept`, '');
      const before = readdirSync(store.layout.mounts);
      const failed = store.cacheMounts.replace(path, (fresh) => {
        writeFileSync(`${fresh}/half`, '');
        return Promise.reject(new Error('disk full'));
      });
      await assert.rejects(failed, /disk full/);
      assert.deepEqual(readdirSync(store.layout.mounts), before);
      assert.deepEqual(readdirSync(path), ['kept']);
    }));
});

describe('a new store', () => {
  it('is opened by many at once, while others clean up', async function () {
    this.timeout(30_000);
    for (let round = 0; round < 15; round++) {
      await withFolder(async (path) => {
        const root = `${path}/store`;
        const one = async (): Promise<void> => {
          const store = await openStore({ root });
          await store.removeLeftovers();
          await store.close();
        };
        await Promise.all(Array.from({ length: 6 }, one));
        assert.equal(readFileSync(`${root}/format`, 'utf8'), '1\n');
      });
    }
  });
});

describe('digests of files', () => {
  it('are those of their bytes; of what is no file there is none', () =>
    withStore(async (store) => {
      const root = `${store.root}/tmp/files`;
      mkdirSync(`${root}/folder`, { recursive: true });
      const contents = new Map<string, Buffer>();
      for (let i = 0; i < 40; i++) contents.set(`folder/f${i}`, Buffer.alloc(i * 1000, String(i)));
      contents.set('large', Buffer.alloc(700_001, 'abc'));
      contents.set('empty', Buffer.alloc(0));
      for (const [path, bytes] of contents) writeFileSync(`${root}/${path}`, bytes);
      symlinkSync('large', `${root}/link`);
      symlinkSync('folder', `${root}/other`);
      const strange = ['link', 'other/f1', 'folder', 'missing'];
      const files = [...contents.keys(), ...strange].map((path) => ({ path, size: 9 << 20 }));
      const digests: unknown[] = files.map(() => 'not told');
      const found = (index: number, bytes: Uint8Array | undefined): void => {
        digests[index] = bytes && `sha256:${Buffer.from(bytes).toString('hex')}`;
      };
      await store.digestFiles(root, files, found);
      assert.deepEqual(digests, [
        ...[...contents.values()].map((bytes) => digestOf(bytes)),
        ...strange.map(() => undefined),
      ]);
      await store.digestFiles(root, [], () => assert.fail('there is none'));
      const aborted = AbortSignal.abort(new Error('enough'));
      await assert.rejects(store.digestFiles(root, files, found, aborted));
      const broken = store.digestFiles(`/proc/${process.pid}`, [{ path: 'mem', size: 9 << 20 }], found);
      await assert.rejects(broken, { code: 'SOURCE_DENIED', message: 'mem cannot be read: EIO' });
    }));
});
