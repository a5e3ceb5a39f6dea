import assert from 'node:assert/strict';
import fs from 'node:fs';
import { join } from 'node:path';

import type { Digest } from '@strake/core';
import fc from 'fast-check';

import { selectSource } from '../src/copy/select.js';
import { SelectionNotes } from '../src/explain/selection-notes.js';
import { compareFiles } from '../src/explain/files.js';
import { storedLayer, type ChainResult } from '../src/result.js';
import { copyVertex } from '../src/steps/copy.js';
import { FileTable } from '../src/tree/file-table.js';
import { LocalTree } from '../src/tree/local-tree.js';
import { TreeMemory } from '../src/tree/tree-memory.js';
import { createFixture, type Fixture } from './support/source-fixture.js';

const FOLDERS = 8;
const PER_FOLDER = 150;
const SIZE = 4000;

describe('a COPY of much, of which little changed since', () => {
  let fixture: Fixture;
  let root = '';
  let saved: Buffer | undefined;
  let amended = 0;
  let now = 1_700_000_000_000;
  let base: ChainResult;

  before(async () => {
    fixture = await createFixture();
    const files = Array.from({ length: FOLDERS * PER_FOLDER }, (_, i) => [
      `src/d${i % FOLDERS}/f${i}`,
      `${i} `.repeat(SIZE).slice(0, SIZE),
    ]);
    root = fixture.write(Object.fromEntries(files) as Record<string, string>);
    fs.symlinkSync('f0', join(root, 'src/d0/link'));
    const { layers } = fixture.store;
    const { amend } = layers;
    layers.amend = async (...given) => {
      const info = await amend.apply(layers, given);
      if (info) amended++;
      return info;
    };
    const folder = { type: 'directory', mode: 0o755, uid: 0, gid: 0, size: 0, mtime: 1 } as const;
    base = { layers: [storedLayer((await layers.write([{ ...folder, path: 'there' }])).diffId)] };
  });

  after(() => fixture.remove());

  interface Given {
    readonly caching?: 'use' | 'renew';
    readonly destination?: string;
    readonly source?: string;
    readonly chown?: string | undefined;
    readonly parent?: ChainResult | undefined;
    /** The step is found in the cache. */
    readonly cached?: boolean;
    /** A tree that is kept from one build to the next, in place of one of its own. */
    readonly kept?: LocalTree;
  }

  function openTree(bytes?: Buffer, memory?: TreeMemory): LocalTree {
    // As if long after all that was written.
    const table = new FileTable(bytes, Date.now() + 60_000);
    const keep = (kept: FileTable): Promise<void> => Promise.resolve(void (saved = Buffer.concat([...kept.chunks()])));
    return new LocalTree({ root, table, keep, memory, xattrs: () => undefined });
  }

  /** The key and the layer of a COPY. */
  async function copy(given: Given): Promise<{ selected: Digest; layer: string }> {
    const {
      caching = 'use',
      destination = '/there',
      source = 'src',
      chown,
      parent = base,
      cached = false,
      kept,
    } = given;
    const { services, signal } = fixture;
    const tree = kept ?? openTree(saved);
    const select = { exclude: [], parents: false, unpack: false, where: 'the context' };
    const vertex = copyVertex(
      {
        id: 'copy',
        name: 'COPY',
        caching,
        parent: { id: 'base', name: 'FROM', inputs: [], caching: 'none', key: () => ({ operation: {} }), run: () => Promise.resolve(parent) }, // prettier-ignore
        stage: undefined,
        source: { kind: 'outside', online: false, find: () => Promise.resolve(selectSource(tree, source, select)) },
        destination,
        chown,
        mode: undefined,
        chmod: undefined,
      },
      { ...services, now: () => now },
    );
    const { content } = await vertex.key(signal, { inputs: () => Promise.resolve(undefined) });
    const key = `sha256:${'0'.repeat(64)}` as const;
    const { layers } = cached ? { layers: [] } : await vertex.run([parent], { signal, key });
    await tree.save();
    await fixture.cleanUp();
    return { selected: content?.['source'] as Digest, layer: (await layers.at(-1)?.diffId()) ?? '' };
  }

  const file = (n: number): string => join(root, `src/d${n % FOLDERS}/f${n % (FOLDERS * PER_FOLDER)}`);
  const edits = {
    content: (n: number) => fs.writeFileSync(file(n), `${n} now ${'x'.repeat(n % 9000)}`),
    empty: (n: number) => fs.writeFileSync(file(n), ''),
    rename: (n: number) => {
      fs.writeFileSync(join(root, 'new'), `${n} renamed`);
      fs.renameSync(join(root, 'new'), file(n));
    },
    mode: (n: number) => fs.chmodSync(file(n), n % 2 ? 0o600 : 0o755),
    folderMode: (n: number) => fs.chmodSync(join(root, `src/d${n % FOLDERS}`), n % 2 ? 0o700 : 0o755),
    time: (n: number) => fs.utimesSync(file(n), n, n),
    come: (n: number) => fs.writeFileSync(`${file(n)}.more`, 'more'),
    go: (n: number) => fs.rmSync(`${file(n)}.more`, { force: true }),
    kind: (n: number) => {
      fs.rmSync(`${file(n)}.more`, { force: true });
      fs.symlinkSync(`f${n}`, `${file(n)}.more`);
    },
    twin: (n: number) => {
      fs.rmSync(`${file(n)}.more`, { force: true });
      fs.linkSync(file(n), `${file(n)}.more`);
    },
  };

  it('is the layer that copying all of it gives, whatever changed', async () => {
    const edit = fc.tuple(fc.constantFrom(...Object.keys(edits)), fc.nat(5000));
    amended = 0;
    let count = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(edit, { maxLength: 3 }), async (some) => {
        now += 1_000_000;
        for (const [kind, n] of some) edits[kind as keyof typeof edits](n);
        const { layer, selected } = await copy({});
        const whole = await copy({ caching: 'renew' });
        assert.deepEqual({ layer, selected }, whole);
        count++;
      }),
      { numRuns: 40 },
    );
    assert.ok(amended > count / 4, `${amended} of ${count} were amended`);
    assert.deepEqual(fixture.leftovers(), []);
  });

  it('is the same for a process that is told of what changes, and looks at nothing else', async () => {
    const kept = openTree(undefined, new TreeMemory());
    let listed: string[] = [];
    const children = kept.children.bind(kept);
    kept.children = (path) => (listed.push(path), children(path));
    const edit = fc.tuple(fc.constantFrom(...Object.keys(edits)), fc.nat(5000));
    await copy({ kept });
    amended = 0;
    let [count, quick] = [0, 0];
    await fc.assert(
      fc.asyncProperty(fc.array(edit, { maxLength: 3 }), async (some) => {
        now += 1_000_000;
        for (const [kind, n] of some) {
          edits[kind as keyof typeof edits](n);
          const path = file(n).slice(root.length + 1);
          kept.forget([path, `${path}.more`, ...(kind === 'folderMode' ? [path.slice(0, path.lastIndexOf('/'))] : [])]);
        }
        listed = [];
        const { layer, selected } = await copy({ kept });
        if (listed.length < FOLDERS) quick++;
        count++;
        assert.deepEqual({ layer, selected }, await copy({ caching: 'renew' }));
      }),
      { numRuns: 40 },
    );
    assert.ok(amended > count / 4, `${amended} of ${count} were amended`);
    assert.ok(quick > count / 4, `${quick} of ${count} were not walked`);
  });

  it('is not taken from what was copied otherwise', async () => {
    const other: ChainResult = { layers: [...base.layers, ...base.layers] };
    for (const given of [{}, { chown: '7:7' }, { parent: other }, {}]) {
      await copy({});
      edits.content(11);
      fs.appendFileSync(file(11), JSON.stringify(given));
      const { layer } = await copy(given);
      assert.equal(layer, (await copy({ ...given, caching: 'renew' })).layer);
    }
  });

  it('has the times that files have, though a cached step does not ask for them', async () => {
    const before = await copy({});
    edits.time(1_234_567);
    const { selected } = await copy({ cached: true });
    assert.equal(selected, before.selected);
    edits.content(4);
    assert.equal((await copy({})).layer, (await copy({ caching: 'renew' })).layer);
  });

  it('is amended where a build in between was cancelled after it had looked at everything', async () => {
    edits.go(20); // Random edits may have left a second name of it, which nobody is told of here.
    const kept = openTree(undefined, new TreeMemory());
    await copy({ kept });
    amended = 0;
    for (const cached of [true, true, false]) {
      edits.content(20);
      fs.appendFileSync(file(20), `${Math.random()}`);
      kept.forget([file(20).slice(root.length + 1)]);
      await copy({ kept, cached });
    }
    assert.equal(amended, 1);
    assert.equal((await copy({ kept })).layer, (await copy({ caching: 'renew' })).layer);
  });

  it('has the time of the first build at the folder that the context becomes, until something comes or goes', async () => {
    edits.go(30); // Random edits may have left a second name of it: two files would change.
    const given = { source: '', destination: '/fresh' };
    const timeOf = async (): Promise<number | undefined> => {
      now += 1_000_000;
      const { layer } = await copy(given);
      return (await fixture.store.layers.view([layer as Digest])).lookup('fresh')?.mtime;
    };
    const first = await timeOf();
    assert.equal(first, Math.floor(now / 1000));
    amended = 0;
    fs.appendFileSync(file(30), 'more');
    assert.equal(await timeOf(), first);
    assert.equal(amended, 1);
    fs.writeFileSync(join(root, 'comes'), '');
    assert.equal(await timeOf(), Math.floor(now / 1000));
    fs.rmSync(join(root, 'comes'));
  });

  it('is explained by the files that changed, of which only few are noted', async () => {
    const { journal } = fixture.store;
    // Whatever random edits have left there: a second name of a file changes with it.
    for (const n of [100, 101]) edits.go(n);
    edits.content(100);
    fs.chmodSync(file(101), 0o644);
    const first = await copy({});
    fs.appendFileSync(file(100), 'once');
    const second = await copy({});
    edits.mode(101);
    const third = await copy({});
    edits.content(100);
    fs.appendFileSync(file(100), 'once more');
    const fourth = await copy({});
    const notes = new SelectionNotes(journal);
    const why = async (a: Digest, b: Digest): Promise<string[]> => {
      const pair = await notes.pair(a, b);
      assert.ok(pair);
      return compareFiles(...pair).map(({ text }) => text.replace(/ \(.*/, ''));
    };
    const content = 'src/d4/f100 changed';
    assert.deepEqual(await why(first.selected, second.selected), [content]);
    assert.deepEqual(await why(second.selected, third.selected), ['src/d5/f101 changed']);
    assert.deepEqual(await why(third.selected, fourth.selected), [content]);
    assert.deepEqual((await why(first.selected, fourth.selected)).sort(), [content, 'src/d5/f101 changed']);
    assert.deepEqual(await why(fourth.selected, fourth.selected), []);
    const size = async (digest: Digest): Promise<number> => JSON.stringify(await journal.facts(digest)).length;
    assert.ok((await size(fourth.selected)) < 2000);
  });
});
