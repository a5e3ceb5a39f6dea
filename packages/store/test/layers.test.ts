import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { appendFileSync, mkdirSync, renameSync, statSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';

import { bytesOfText, collect, digestOf, MediaType, textOfBytes } from '@strake/core';
import fc from 'fast-check';

import type { LayerEntry, TreeView } from '../src/index.js';
import { failsWith, file, folder, hardlink, link, whiteout, withFolder, withStore } from './support.js';

type Entry = Exclude<LayerEntry, { type: 'whiteout' }>;

async function textAt(view: TreeView, path: string): Promise<string> {
  const entry = view.lookup(path);
  assert.ok(entry, `${path} is not there`);
  return (await view.read(entry, 1 << 20)).toString();
}

/** A path of one to four components: short, long, foreign and broken ones. */
const name = fc.oneof(
  fc.string({ minLength: 1, maxLength: 8, unit: 'grapheme' }),
  fc.string({ minLength: 60, maxLength: 80, unit: 'grapheme-ascii' }),
  fc.constantFrom('a', 'b', 'a.b', 'a-b', 'é', '..x', '...'),
  fc.uint8Array({ minLength: 1, maxLength: 6, min: 1 }).map((bytes) => textOfBytes(bytes)),
);
const cleanName = name
  .map((text) => text.replace(/[/\0]/g, '_'))
  .filter((text) => text !== '.' && text !== '..' && !text.startsWith('.wh.') && Buffer.byteLength(text) <= 250);

const entries = fc
  .array(
    fc.record({
      path: fc.array(cleanName, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/')),
      kind: fc.constantFrom('file', 'directory', 'symlink', 'fifo', 'char'),
      mode: fc.integer({ min: 0, max: 0o7777 }),
      uid: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xfffffffe })),
      gid: fc.integer({ min: 0, max: 0xfffffffe }),
      mtime: fc.oneof(fc.constant(0), fc.integer({ min: -(2 ** 33), max: 2 ** 36 })),
      text: fc.string({ maxLength: 1500 }),
      link: cleanName,
      xattrs: fc.option(
        fc.dictionary(fc.constantFrom('user.a', 'user.b', 'security.capability'), fc.string({ maxLength: 9 })),
      ),
    }),
    { maxLength: 12 },
  )
  .map((drafts) => {
    const made = new Map<string, Entry>();
    const isFolder = (path: string): boolean => made.get(path)?.type === 'directory';
    for (const { path, kind, mode, uid, gid, mtime, text, link: target, xattrs } of drafts) {
      const parts = path.split('/');
      const parents = parts.slice(1).map((_, i) => parts.slice(0, i + 1).join('/'));
      if (made.has(path) || parents.some((parent) => made.has(parent) && !isFolder(parent))) continue;
      for (const parent of parents) if (!made.has(parent)) made.set(parent, folder(parent) as Entry);
      const facts = { mode, uid, gid, mtime, ...(xattrs && Object.keys(xattrs).length > 0 ? { xattrs } : {}) };
      if (kind === 'file') made.set(path, file(path, text, facts) as Entry);
      else if (kind === 'symlink') made.set(path, link(path, target, { ...facts, mode: 0o777 }) as Entry);
      else if (kind === 'char')
        made.set(path, folder(path, { ...facts, type: 'char', device: { major: 5, minor: 300 } }) as Entry);
      else made.set(path, folder(path, { ...facts, type: kind }) as Entry);
    }
    return [...made.values()];
  });

const PYTHON = `
import sys, tarfile, json
for m in tarfile.open(sys.argv[1], errors='surrogateescape'):
    data = tarfile.open(sys.argv[1], errors='surrogateescape').extractfile(m).read() if m.isreg() else b''
    print(json.dumps([m.name, m.type.decode(), m.mode, m.uid, m.gid, m.size, m.mtime, m.linkname, data.decode('utf8', 'surrogateescape')]))
`;

describe('layers', () => {
  it('that are staged are never said to be read where finding their entries failed', () =>
    withStore(async (store) => {
      function* failing(): Iterable<LayerEntry> {
        yield file('a', 'text');
        throw new Error('no more of them');
      }
      const staged = store.layers.stage(failing(), () => undefined);
      await assert.rejects(staged.read, /no more of them/);
      await assert.rejects(staged.install(), /no more of them/);
    }));

  for (const count of [3, 700]) {
    it(`are made of files in other layers: ${count} of two`, () =>
      withStore(async (store) => {
        const names = Array.from({ length: count }, (_, i) => `f${String(i).padStart(4, '0')}`);
        const layers = await Promise.all(
          ['one', 'two'].map((word) => store.layers.write(names.map((name) => file(name, `${word} ${name}`)))),
        );
        const views = await Promise.all(layers.map(({ diffId }) => store.layers.view([diffId])));
        const taken = names.map((name, i): LayerEntry => {
          const view = views[i % 2] as TreeView;
          const entry = view.lookup(name);
          assert.ok(entry);
          const { mode, uid, gid, size, mtime } = entry;
          return { path: `c${name}`, type: 'file', mode, uid, gid, size, mtime, content: view.source(entry) };
        });
        const made = await store.layers.write(taken);
        const again = await store.layers.write(
          names.map((name, i) => file(`c${name}`, `${i % 2 === 0 ? 'one' : 'two'} ${name}`)),
        );
        assert.equal(made.diffId, again.diffId);
        const lying = { ...taken[0], content: { ...(taken[0] as Entry).content, digest: digestOf('other') } } as Entry;
        await assert.rejects(store.layers.write([lying]), failsWith('SOURCE_CHANGED'));
      }));
  }

  it('gives back what was written, whatever it is', async function () {
    this.timeout(60_000);
    await withStore((store) =>
      fc.assert(
        fc.asyncProperty(entries, async (list) => {
          const { diffId } = await store.layers.write(list);
          const view = await store.layers.view([diffId]);
          const seen = [...view.walk('')].slice(1);
          assert.equal(seen.length, list.length);
          for (const entry of list) {
            const found = view.lookup(entry.path);
            assert.ok(found);
            for (const field of ['type', 'mode', 'uid', 'gid', 'size', 'mtime', 'link'] as const) {
              assert.equal(found[field], entry[field], `${field} of ${JSON.stringify(entry.path)}`);
            }
            assert.deepEqual({ ...found.xattrs }, { ...entry.xattrs });
            if (entry.content?.kind === 'bytes') {
              assert.equal(found.digest, digestOf(entry.content.bytes));
              assert.deepEqual(await view.read(found, 1e6), Buffer.from(entry.content.bytes));
            }
          }
          // The same by way of a foreign reader's eyes: our own parser, from the tar.
          const tar = await collect(store.layers.tar(diffId), 1e8);
          await withStore(async (other) => {
            const blob = { mediaType: MediaType.ociLayer, digest: diffId, size: tar.length };
            await other.layers.import(diffId, blob, async function* () {
              await Promise.resolve();
              yield tar;
            });
            const again = [...(await other.layers.view([diffId])).walk('')].slice(1);
            assert.deepEqual(again, seen);
          });
        }),
        { numRuns: 40 },
      ),
    );
  });

  it('writes tars that Python reads', function () {
    this.timeout(60_000);
    return withStore(async (store) => {
      const long = 'n'.repeat(120);
      const list = [
        folder('d', { mode: 0o1777 }),
        file(`d/${long}`, 'long'),
        file(`${'p'.repeat(90)}/${'q'.repeat(90)}`, 'prefix'),
        file(textOfBytes(Buffer.from([0x64, 0x2f, 0xff, 0xfe])), 'bytes', { uid: 4_000_000_000, mtime: -5 }),
        link('l', `/${'t'.repeat(150)}`),
      ] as Entry[];
      const { diffId } = await store.layers.write([...list, hardlink('h', `d/${long}`)]);
      const lines = execFileSync('python3', ['-c', PYTHON, store.blobs.path(diffId)], { encoding: 'utf8' });
      const seen = lines
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as unknown[]);
      const wanted = list.map((entry) => [
        entry.path,
        { file: '0', directory: '5', symlink: '2' }[entry.type as 'file'],
        entry.mode,
        entry.uid,
        entry.gid,
        entry.size,
        entry.mtime,
        entry.link ?? '',
        entry.content?.kind === 'bytes' ? Buffer.from(entry.content.bytes).toString() : '',
      ]);
      assert.deepEqual(seen.slice(0, -1), wanted);
      assert.deepEqual(seen.at(-1)?.slice(0, 2), ['h', '1']);
    });
  });

  it('is the same for the same entries: no owner names, no times of its own', () =>
    withStore(async (store) => {
      const { diffId } = await store.layers.write([folder('a'), file('a/x', 'hello')]);
      const again = await store.layers.write([folder('a'), file('a/x', 'hello')]);
      assert.equal(again.diffId, diffId);
      const tar = await collect(store.layers.tar(diffId), 1e6);
      assert.equal(tar.length % 512, 0);
      assert.ok(tar.subarray(-1024).every((byte) => byte === 0));
      assert.equal(tar.toString('latin1', 265, 329).replaceAll('\0', ''), '');
    }));

  it('reads files below a folder without following links', () =>
    withFolder((context) =>
      withStore(async (store) => {
        mkdirSync(`${context}/d`);
        writeFileSync(`${context}/d/f`, 'content');
        writeFileSync(`${context}/secret`, 'secret!');
        symlinkSync('../secret', `${context}/d/s`);
        symlinkSync('d', `${context}/e`);
        const source = (path: string, size = 7): LayerEntry =>
          file('x', '1234567', { size, content: { kind: 'file', root: context, path } });
        const view = await store.layers.view([(await store.layers.write([source('d/f')])).diffId]);
        assert.equal(await textAt(view, 'x'), 'content');
        for (const path of ['d/s', 'e/f', 'd/gone', '../x', 'd/../secret', 'd']) {
          await assert.rejects(store.layers.write([source(path)]), failsWith('SOURCE_CHANGED'), path);
        }
        await assert.rejects(store.layers.write([source('d/f', 6)]), failsWith('SOURCE_CHANGED', /6 bytes/));
        await assert.rejects(store.layers.write([source('d/f', 8)]), failsWith('SOURCE_CHANGED', /8 bytes/));
        const lie = { kind: 'file', root: context, path: 'd/f', digest: digestOf('other') } as const;
        await assert.rejects(store.layers.write([file('x', '1234567', { content: lie })]), failsWith('SOURCE_CHANGED'));
        assert.deepEqual(await store.findLeftovers(), []);
      }),
    ));

  it('does not hang on a fifo, and does not take a device for a file', () =>
    withFolder((context) =>
      withStore(async (store) => {
        execFileSync('mkfifo', [`${context}/fifo`]);
        symlinkSync('/dev/zero', `${context}/zero`);
        for (const path of ['fifo', 'zero']) {
          const content = { kind: 'file', root: context, path } as const;
          await assert.rejects(store.layers.write([file('x', '1', { content })]), failsWith('SOURCE_CHANGED'));
        }
      }),
    ));

  it('copies contents out of other layers, hard links and sparse files too', () =>
    withFolder((context) =>
      withStore(async (store) => {
        writeFileSync(`${context}/s`, '');
        truncateSync(`${context}/s`, 5_000_000);
        execFileSync('tar', ['--format=posix', '--sparse', '-cf', `${context}/sparse.tar`, '-C', context, 's']);
        const { readFileSync } = await import('node:fs');
        const tar = readFileSync(`${context}/sparse.tar`);
        const blob = { mediaType: MediaType.ociLayer, digest: digestOf(tar), size: tar.length };
        await store.layers.import(blob.digest, blob, async function* () {
          await Promise.resolve();
          yield tar;
        });
        const base = await store.layers.write([file('a', 'one'), hardlink('b', 'a')]);
        const view = await store.layers.view([blob.digest, base.diffId]);
        const copy = await store.layers.write(
          [...view.walk('')]
            .slice(1)
            .map((entry) => ({ ...entry, path: `c-${entry.path}`, content: view.source(entry) })),
        );
        const copied = await store.layers.view([copy.diffId]);
        assert.equal(await textAt(copied, 'c-b'), 'one');
        const sparse = copied.lookup('c-s');
        assert.ok(sparse);
        assert.equal(sparse.size, 5_000_000);
        assert.equal(sparse.digest, digestOf(Buffer.alloc(5_000_000)));
        assert.equal((await copied.read(sparse, 1e7)).equals(Buffer.alloc(5_000_000)), true);
        assert.ok(((await store.blobs.size(copy.diffId)) ?? 1e9) < 20_000);
        const out = execFileSync('tar', ['-xOf', store.blobs.path(copy.diffId), 'c-s'], { maxBuffer: 1e7 });
        assert.ok(out.equals(Buffer.alloc(5_000_000)));
      }),
    ));

  it('a sparse file that would fill the disk is stored with holes, as the bytes that it has', () =>
    withFolder((context) =>
      withStore(async (store) => {
        const size = 48 << 20;
        writeFileSync(`${context}/s`, 'first');
        truncateSync(`${context}/s`, size - 4);
        appendFileSync(`${context}/s`, 'last');
        const { diffId } = await store.layers.write([
          file('s', '', { size, content: { kind: 'file', root: context, path: 's' } }),
          file('end', '', { size: 1 << 20, content: { kind: 'bytes', bytes: Buffer.alloc(1 << 20) } }),
        ]);
        const path = store.blobs.path(diffId);
        assert.ok(statSync(path).blocks * 512 < 4 << 20, `${statSync(path).blocks} blocks`);
        const expected = Buffer.concat([Buffer.from('first'), Buffer.alloc(size - 9), Buffer.from('last')]);
        assert.ok(execFileSync('tar', ['-xOf', path, 's'], { maxBuffer: 2 * size }).equals(expected));
        const view = await store.layers.view([diffId]);
        assert.equal(view.lookup('s')?.digest, digestOf(expected));
        assert.equal(digestOf(await collect(store.layers.tar(diffId), 2 * size)), diffId);
      }),
    ));

  it('refuses names that a layer cannot have', () =>
    withStore(async (store) => {
      for (const path of ['.wh.x', 'a/.wh..wh..opq', 'a//b', '../x', 'a/./b', 'n'.repeat(256), '/abs', 'x/']) {
        await assert.rejects(store.layers.write([file(path, 'x')]), failsWith('NAME_UNREPRESENTABLE'), path);
      }
    }));

  it('ends a write whose entries fail or whose signal aborts, and leaves nothing behind', () =>
    withStore(async (store) => {
      const failing = (async function* (): AsyncGenerator<LayerEntry> {
        await Promise.resolve();
        yield file('a', 'x');
        throw new TypeError('mine');
      })();
      await assert.rejects(store.layers.write(failing), TypeError);
      const controller = new AbortController();
      const endless = (async function* (): AsyncGenerator<LayerEntry> {
        for (let i = 0; ; i++) {
          if (i === 5000) controller.abort();
          await Promise.resolve();
          yield file(`f${i}`, 'x');
        }
      })();
      await assert.rejects(store.layers.write(endless, controller.signal), failsWith('CANCELLED'));
      assert.deepEqual(await store.findLeftovers(), []);
      assert.ok(await store.layers.write([file('a', 'x')]));
    }));

  it('compresses reproducibly, and once', () =>
    withStore(async (store) => {
      const noise = Buffer.alloc(3_000_000, 'abcdefgh').map((byte, i) => byte + ((i * 7919) >> 7));
      const list = [
        file('text', 'hello '.repeat(500_000)),
        file('n', '', { size: noise.length, content: { kind: 'bytes', bytes: noise } }),
      ];
      const { diffId } = await store.layers.write(list);
      const [first, second] = await Promise.all([
        store.layers.compress(diffId, 'gzip'),
        store.layers.compress(diffId, 'gzip'),
      ]);
      assert.deepEqual(first, second);
      const tar = await collect(store.layers.tar(diffId), 1e8);
      assert.ok(gunzipSync(await store.blobs.read(first.digest, 1e8)).equals(tar));
      assert.deepEqual((await store.layers.info(diffId))?.compressed, [first]);
      const fast = await store.layers.compress(diffId, 'gzip', undefined, 1);
      assert.notEqual(fast.digest, first.digest);
      assert.ok(gunzipSync(await store.blobs.read(fast.digest, 1e8)).equals(tar));
      await withStore(async (other) => {
        await other.layers.import(diffId, first, () => store.blobs.open(first.digest));
        await other.layers.write(list);
        const again = await other.layers.compress((await other.layers.write(list)).diffId, 'gzip');
        assert.equal(again.digest, first.digest);
      });
    }));

  it('refuses a chain with a layer that is not there', () =>
    withStore(async (store) => {
      await assert.rejects(store.layers.view([digestOf('x')]), failsWith('LAYER_NOT_FOUND'));
      await assert.rejects(store.layers.compress(digestOf('x'), 'gzip'), failsWith('LAYER_NOT_FOUND'));
    }));

  it('does not take a layer for usable that a power cut has cut short', () =>
    withStore(async (store) => {
      const { diffId } = await store.layers.write([file('a', 'x')]);
      truncateSync(store.blobs.path(diffId), 512);
      assert.equal(await store.layers.info(diffId), undefined);
      const { diffId: other } = await store.layers.write([file('b', 'x')]);
      renameSync(`${store.root}/layers/${other.slice(7)}/index`, `${store.root}/gone`);
      assert.equal(await store.layers.info(other), undefined);
    }));

  it('knows names that are no text', () =>
    withStore(async (store) => {
      const odd = textOfBytes(Buffer.from([0x66, 0xff]));
      const { diffId } = await store.layers.write([folder('d'), file(`d/${odd}`, 'x'), whiteout('d/gone')]);
      const view = await store.layers.view([diffId]);
      assert.deepEqual(view.list('d'), [odd]);
      assert.deepEqual([...bytesOfText(view.lookup(`d/${odd}`)?.path ?? '')], [0x64, 0x2f, 0x66, 0xff]);
    }));
});
