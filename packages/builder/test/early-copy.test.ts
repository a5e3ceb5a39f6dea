import assert from 'node:assert/strict';
import fs from 'node:fs';
import { join } from 'node:path';

import type { LayerEntry } from '@strake/store';

import { selectSource } from '../src/copy/select.js';
import { storedLayer, type ChainResult } from '../src/result.js';
import { openTree } from '../src/source/context.js';
import { copyVertex } from '../src/steps/copy.js';
import { createFixture, type Fixture } from './support/source-fixture.js';

const MEBIBYTE = 1 << 20;

describe('a COPY of many bytes that nothing is known of', () => {
  let fixture: Fixture;
  let root = '';
  /** What was read of the context: once for the key alone, or once for key and layer. */
  let reads: string[] = [];
  /** How many folders of the context were listed. */
  let listed = 0;

  beforeEach(async () => {
    fixture = await createFixture();
    const big = Buffer.alloc(3 * MEBIBYTE, 'strake');
    root = fixture.write({
      alone: Buffer.concat([big, big]),
      'src/a': big,
      'src/sub/b': big.subarray(1),
      'src/empty': '',
      small: 'x',
    });
    fs.symlinkSync('a', join(root, 'src/link'));
    fs.linkSync(join(root, 'src/a'), join(root, 'src/twin'));
    reads = [];
    listed = 0;
    const { store } = fixture;
    const { stage } = store.layers;
    store.layers.stage = (...given) => {
      reads.push('copied');
      return stage.apply(store.layers, given);
    };
    const { digestFiles } = store;
    store.digestFiles = (...given) => {
      reads.push('digested');
      return digestFiles.apply(store, given);
    };
  });

  afterEach(() => fixture.remove());

  interface Options {
    readonly caching?: 'use' | 'renew';
    readonly pattern?: string;
    /** The parent's layers, as far as they are known before the step runs. */
    readonly known?: ChainResult | undefined;
    readonly parent?: ChainResult;
  }

  /** Asks a COPY for its key and then for its layer. */
  async function copy({ caching = 'use', pattern = 'src', known, parent }: Options = {}): Promise<{
    key: string;
    layer: () => Promise<string>;
  }> {
    const { services, signal } = fixture;
    const tree = await openTree(root, services, signal);
    const { children } = tree;
    tree.children = (path) => {
      listed++;
      return children.call(tree, path);
    };
    const select = { exclude: [], parents: false, unpack: false, where: 'the context' };
    const base = parent && {
      id: 'base',
      name: 'FROM base',
      inputs: [],
      caching: 'none' as const,
      key: () => ({ operation: {} }),
      run: () => Promise.resolve(parent),
    };
    const vertex = copyVertex(
      {
        id: 'copy',
        name: 'COPY',
        caching,
        parent: base,
        stage: undefined,
        source: { kind: 'outside', online: false, find: () => Promise.resolve(selectSource(tree, pattern, select)) },
        destination: '/to/',
        chown: undefined,
        mode: undefined,
        chmod: undefined,
        epoch: undefined,
      },
      { ...services, now: () => 1_700_000_000_000 },
    );
    const inputs = (): Promise<ChainResult[] | undefined> => Promise.resolve(parent ? known && [known] : []);
    const { content } = await vertex.key(signal, { inputs });
    return {
      key: content?.['source'] ?? '',
      layer: async () => {
        const { layers } = await vertex.run(parent ? [parent] : [], { signal, key: `sha256:${'0'.repeat(64)}` });
        return (await layers.at(-1)?.diffId()) ?? '';
      },
    };
  }

  it('is read once, for the same key and the same layer', async () => {
    for (const [pattern, ...files] of [
      ['src', 'src/a', 'src/sub/b'],
      ['alone', 'alone'],
    ] as const) {
      reads = [];
      const first = await copy({ pattern });
      const layer = await first.layer();
      assert.deepEqual(reads, ['copied']);
      // Unknown again, but it was copied before: the key is made first.
      await fixture.cleanUp();
      for (const file of files) fs.utimesSync(join(root, file), 1, 1);
      reads = [];
      const second = await copy({ pattern });
      assert.deepEqual(reads, ['digested']);
      assert.equal(second.key, first.key);
      assert.notEqual(await second.layer(), layer, 'times are in the layer');
      const renewed = await copy({ pattern, caching: 'renew' });
      assert.equal(renewed.key, first.key);
      assert.equal(await renewed.layer(), await second.layer());
      assert.equal(reads.at(-1), 'copied');
      await fixture.cleanUp();
      assert.deepEqual(fixture.leftovers(), []);
    }
  });

  it('leaves nothing behind where the key has a record', async () => {
    await copy();
    assert.deepEqual(reads, ['copied']);
    await fixture.cleanUp();
    assert.deepEqual(fixture.leftovers(), []);
  });

  it('is copied onto the layers that the step then runs on', async () => {
    const { layers } = fixture.store;
    const folder = { type: 'directory', mode: 0o755, uid: 0, gid: 0, size: 0, mtime: 1 } as const;
    const one = await layers.write([{ ...folder, path: 'to' }]);
    const other = await layers.write([
      { ...folder, path: 'elsewhere' },
      { ...folder, path: 'to', type: 'symlink', link: 'elsewhere' },
    ]);
    const below: ChainResult = { layers: [storedLayer(one.diffId)] };
    const changed: ChainResult = { layers: [storedLayer(other.diffId)] };
    const right = await (await copy({ parent: changed })).layer();
    assert.deepEqual(reads, ['digested'], 'nothing is copied before the parent is known');
    const known = await copy({ parent: changed, known: changed, caching: 'renew' });
    assert.equal(await known.layer(), right);
    const outdated = await copy({ parent: changed, known: below, caching: 'renew' });
    assert.equal(await outdated.layer(), right);
    await fixture.cleanUp();
    assert.deepEqual(fixture.leftovers(), []);
  });

  it('is read while the rest of it is still being found', async () => {
    const FOLDERS = 50;
    for (let folder = 0; folder < FOLDERS; folder++) {
      fs.mkdirSync(join(root, `many/${folder}`), { recursive: true });
      for (let file = 0; file < 50; file++) fs.writeFileSync(join(root, `many/${folder}/${file}`), '');
    }
    const { store } = fixture;
    const { stage } = store.layers;
    let listedAtFirst = Infinity;
    store.layers.stage = (entries, onDigests, signal) => {
      function* watched(): Iterable<LayerEntry> {
        for (const entry of entries) {
          listedAtFirst = Math.min(listedAtFirst, listed);
          yield entry;
        }
      }
      return stage.call(store.layers, watched(), onDigests, signal);
    };
    const first = await copy({ pattern: 'many' });
    assert.ok(listedAtFirst < FOLDERS, `${listedAtFirst} folders were listed`);
    assert.equal(listed, 1 + FOLDERS);
    const early = await first.layer();
    store.layers.stage = stage;
    const renewed = await copy({ pattern: 'many', caching: 'renew' });
    assert.equal(renewed.key, first.key);
    assert.equal(await renewed.layer(), early);
  });

  it('is refused where a file changes meanwhile', async () => {
    const { store } = fixture;
    const { stage } = store.layers;
    store.layers.stage = (entries, onDigests, signal) => {
      const all = [...entries];
      fs.writeFileSync(join(root, 'src/sub/b'), 'shorter');
      return stage.call(store.layers, all, onDigests, signal);
    };
    const { layer } = await copy();
    await assert.rejects(layer(), { code: 'SOURCE_CHANGED' });
    assert.deepEqual(fixture.leftovers(), []);
  });
});
