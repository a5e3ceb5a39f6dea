import assert from 'node:assert/strict';

import type { LayerEntry, TreeView } from '@strake/store';

import { TargetTree } from '../src/copy/target-tree.js';
import { storedLayer } from '../src/result.js';
import { chainView } from '../src/tree/chain-view.js';
import { windowsEntries } from '../src/tree/windows-layers.js';
import { createFixture, type Fixture } from './support/source-fixture.js';

const FACTS = { mode: 0o755, uid: 0, gid: 0, mtime: 1 };
const folder = (path: string): LayerEntry => ({ path, type: 'directory', size: 0, ...FACTS });
const link = (path: string, to: string): LayerEntry => ({ path, type: 'symlink', size: 0, link: to, ...FACTS });
const file = (path: string): LayerEntry => {
  const bytes = Buffer.from(path);
  return { path, type: 'file', size: bytes.length, content: { kind: 'bytes', bytes }, ...FACTS };
};
const BASE = [
  ...[folder('Hives'), file('Hives/Delta'), folder('Files'), folder('Files/dir'), folder('Files/dir/sub')],
  ...[file('Files/dir/sub/a'), file('Files/dir/sub/b'), file('Files/dir/c'), file('Files/f'), folder('Files/Files')],
  ...[link('Files/whole', 'Files//dir'), link('Files/near', 'Files/dir/c'), link('Files/plain', '/dir')],
  ...[link('Files/round', 'round'), link('Files/up', '../../Hives'), folder('UtilityVM'), file('outside')],
];

describe('layers for Windows', () => {
  let fixture: Fixture;
  before(async () => {
    fixture = await createFixture();
  });
  after(() => fixture.remove());

  async function viewOf(...layers: readonly (readonly LayerEntry[])[]): Promise<TreeView> {
    const { store } = fixture;
    const refs = [];
    for (const entries of layers) refs.push(storedLayer((await store.layers.write(entries)).diffId));
    return chainView({ layers: refs, windows: true }, store);
  }

  it('are the tree that lies in their folder Files, and nothing else', async () => {
    const view = await viewOf(BASE);
    assert.deepEqual(view.list(''), ['Files', 'dir', 'f', 'near', 'plain', 'round', 'up', 'whole']);
    assert.deepEqual(
      [...view.walk('dir')].map((entry) => entry.path),
      ['dir', 'dir/c', 'dir/sub', 'dir/sub/a', 'dir/sub/b'],
    );
    assert.deepEqual(
      [...view.walk('')].slice(0, 3).map((entry) => entry.path),
      ['', 'Files', 'dir'],
    );
    assert.deepEqual(
      [...view.children('dir')].map((entry) => entry.path),
      ['dir/c', 'dir/sub'],
    );
    for (const path of ['Hives', 'outside', 'UtilityVM', '../Hives', 'Files/dir'])
      assert.equal(view.lookup(path), undefined);
    const { mode, uid, gid, type } = view.lookup('') ?? {};
    assert.deepEqual({ mode, uid, gid, type }, { mode: 0o755, uid: 0, gid: 0, type: 'directory' });
    const found = view.lookup('dir/c');
    assert.equal(found && (await view.read(found, 100)).toString(), 'Files/dir/c');
  });

  it('have links that lead within that tree, written as others write them or as BuildKit does', async () => {
    const view = await viewOf(BASE);
    assert.equal(view.resolve('whole/sub/a'), 'dir/sub/a');
    assert.equal(view.resolve('plain/c'), 'dir/c');
    assert.equal(view.resolve('near'), 'dir/c');
    assert.equal(view.resolve('near', { nofollow: true }), 'near');
    assert.equal(view.resolve('up/Delta'), 'Hives/Delta');
    assert.equal(view.lookup('whole')?.link, '/dir');
    assert.throws(() => view.resolve('round'), { code: 'COPY_CONFLICT' });
  });

  it('may be without that folder, or have something else in its place', async () => {
    for (const layer of [[file('x')], [file('Files')], [link('Files', '/Hives'), folder('Hives'), file('Hives/x')]]) {
      const view = await viewOf(layer);
      assert.deepEqual([view.list(''), [...view.walk('')].length, view.lookup('x')], [[], 1, undefined]);
    }
  });

  it('remove by name what a folder is not to have any more, and are what was planned', async () => {
    const base = await viewOf(BASE);
    const target = new TargetTree(base, 5);
    const bytes = Buffer.from('new');
    const put = (path: string, type: 'file' | 'directory'): void => {
      const content = type === 'file' ? ({ kind: 'bytes', bytes } as const) : undefined;
      target.put(path, { facts: { ...FACTS, type, size: content ? bytes.length : 0 }, content });
    };
    put('dir', 'file');
    put('dir', 'directory');
    put('dir/sub', 'directory');
    put('dir/sub/b', 'file');
    put('f', 'directory');
    const entries = [...windowsEntries(target.entries(), base, 5)];
    assert.ok(entries.every((entry) => entry.windows && !('opaque' in entry && entry.opaque)));
    assert.deepEqual(
      entries.filter(({ type }) => type === 'whiteout').map(({ path }) => path),
      ['Files/dir/c', 'Files/dir/sub/a'],
    );
    const view = await viewOf(BASE, entries);
    const seen = [...view.walk('')].map(({ path, type }) => `${path} ${type}`);
    for (const line of ['dir directory', 'dir/sub directory', 'dir/sub/b file', 'f directory'])
      assert.ok(seen.includes(line), line);
    assert.equal(
      seen.some((line) => /^dir\/(?:c|sub\/a) /.test(line)),
      false,
    );
  });

  it('have each folder on the way to something, once, as it was below', async () => {
    const base = await viewOf(BASE);
    const entries = [...windowsEntries([file('dir/sub/x'), file('dir/y'), file('z')], base, 5)];
    assert.deepEqual(
      entries.map(({ path }) => path),
      ['Hives', 'Files', 'Files/dir', 'Files/dir/sub', 'Files/dir/sub/x', 'Files/dir/y', 'Files/z'],
    );
    assert.ok(entries[2] && 'mtime' in entries[2] && entries[2].mtime === 1);
  });
});
