import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { digestOf } from '@strake/core';
import { openStore, type LayerEntry, type Store, type TreeView, type ViewEntry } from '@strake/store';
import fc from 'fast-check';

import { changingEntries, Undecided } from '../src/copy/changes.js';

const made = { mode: 0o755, uid: 0, gid: 0, size: 0, mtime: 1000 };
const folder = (path: string, more: object = {}): LayerEntry => ({ path, type: 'directory', ...made, ...more });
const file = (path: string, text: string, more: object = {}): LayerEntry => {
  const bytes = Buffer.from(text);
  return { path, type: 'file', ...made, size: bytes.length, content: { kind: 'bytes', bytes }, ...more };
};
/** A further name of what is FIRST in the same layer. */
const link = (path: string, first: LayerEntry): LayerEntry => {
  const { type, size, content, link: to, ...facts } = first as Exclude<LayerEntry, { type: 'whiteout' }>;
  return { ...facts, path, type: 'hardlink', size: 0, link: first.path, node: { type, size, content, link: to } };
};

/** A tree of these entries, as far as a plan looks at it. */
function treeOf(...entries: LayerEntry[]): { lookup(path: string): ViewEntry | undefined; list(): readonly string[] } {
  const digest = (entry: LayerEntry): string | undefined =>
    'content' in entry && entry.content?.kind === 'bytes' ? digestOf(entry.content.bytes) : undefined;
  return {
    lookup: (path) => {
      const entry = entries.find((one) => one.path === path);
      return entry && ({ ...entry, digest: digest(entry) } as ViewEntry);
    },
    list: () => [],
  };
}

const pathsOf = (entries: Iterable<LayerEntry>): string[] => [...entries].map(({ path }) => path);

const namesOf = (entries: Iterable<LayerEntry>): string[] => {
  return [...entries].map((entry) => {
    const to = 'link' in entry && entry.link !== undefined ? ` ${entry.link}` : '';
    return `${entry.path}: ${entry.type}${to}`;
  });
};

describe('What of a planned layer changes something', () => {
  it('is no file that is there as it is, and no folder of which only the time is another', () => {
    const below = treeOf(folder('d'), file('d/f', 'f'), folder('e'), file('g', 'g'));
    const same = [folder('d', { mtime: 7 }), file('d/f', 'f'), folder('e'), file('g', 'g')];
    assert.deepEqual(pathsOf(changingEntries(same, below)), []);
    const different = [
      folder('e', { mode: 0o700 }),
      file('d/f', 'F'),
      file('g', 'g', { mtime: 7 }),
      file('g', 'g', { uid: 7 }),
      file('g', 'g', { xattrs: { 'user.x': 'y' } }),
      { path: 'g', type: 'symlink', ...made, link: 'x' } as const,
    ];
    for (const entry of different) assert.deepEqual(pathsOf(changingEntries([entry], below)), [entry.path]);
  });

  it('is a folder with another time where something in it changes, in whatever order they come', () => {
    const below = treeOf(folder('d'), folder('d/e'), folder('f'));
    const entries = [
      folder('d', { mtime: 7 }),
      folder('f', { mtime: 7 }),
      folder('d/e'),
      file('x', 'x'),
      file('d/e/new', 'n'),
    ];
    assert.deepEqual(pathsOf(changingEntries(entries, below)), ['x', 'd', 'd/e', 'd/e/new']);
  });

  it('is what an opaque folder hides below', () => {
    const below = treeOf(folder('d'), file('d/f', 'f'));
    const entries = [folder('d', { opaque: true }), folder('new'), file('d/f', 'f')];
    assert.deepEqual(pathsOf(changingEntries(entries, below)), ['d', 'new', 'd/f']);
  });

  it('is a link to a file that was left out, as a file', () => {
    const below = treeOf(file('a', 'a'), file('b', 'other'), file('d', 'a'));
    const a = file('a', 'a');
    const entries = [a, ...['b', 'c', 'd', 'e'].map((path) => link(path, a))];
    assert.deepEqual(namesOf(changingEntries(entries, below)), ['b: file', 'c: hardlink b', 'e: hardlink b']);
    assert.deepEqual(pathsOf(changingEntries([a, link('d', a)], below)), []);
  });

  it('is no link to a file of the layer where that is there already as it is', () => {
    const symlink: LayerEntry = { path: 's', type: 'symlink', ...made, link: 'x' };
    const below = treeOf(file('b', 'a'), file('c', 'a', { mtime: 7 }), file('d', 'A'), { ...symlink, path: 't' });
    const a = file('a', 'a');
    const entries = [a, ...['b', 'c', 'd'].map((path) => link(path, a)), symlink, link('t', symlink)];
    assert.deepEqual(namesOf(changingEntries(entries, below)), [
      'a: file',
      'c: hardlink a',
      'd: hardlink a',
      's: symlink x',
    ]);
  });

  it('cannot be told where contents are not known, on either side', () => {
    const unread: LayerEntry = { ...file('a', 'a'), content: { kind: 'file', root: '/', path: 'a' } } as LayerEntry;
    assert.throws(() => [...changingEntries([unread], treeOf(file('a', 'a')), true)], Undecided);
    assert.deepEqual(pathsOf(changingEntries([unread], treeOf(file('a', 'a', { mtime: 7 })), true)), ['a']);
    assert.deepEqual(pathsOf(changingEntries([unread], treeOf(file('a', 'a')))), ['a']);
    const outline = {
      lookup: () => ({ ...treeOf(file('a', 'a')).lookup('a'), digest: undefined }) as ViewEntry,
      list: () => [],
    };
    assert.throws(() => [...changingEntries([file('a', 'a')], outline)], Undecided);
  });

  it('is no device that stands for a removed file, but where there is none to be removed', () => {
    const device = { path: 'n', type: 'char', ...made, device: { major: 0, minor: 0 } } as const;
    const named = (...names: string[]): ReturnType<typeof treeOf> => ({ lookup: () => undefined, list: () => names });
    assert.throws(() => [...changingEntries([device], named('f'))], /"\/n" is a device 0:0/);
    assert.deepEqual([...changingEntries([device], named())], [device]);
    const null_ = { ...device, device: { major: 1, minor: 0 } };
    assert.deepEqual([...changingEntries([null_], named('f'))], [null_]);
  });

  it('makes the same tree as all of it, but for times of folders', async function () {
    this.timeout(60_000);
    const root = mkdtempSync(join(tmpdir(), 'strake-changes-'));
    const store = await openStore({ root });
    try {
      await fc.assert(
        fc.asyncProperty(layer, layer, async (first, second) => {
          const base = (await store.layers.write(first)).diffId;
          const view = await store.layers.view([base]);
          const less = [...changingEntries(second, view)];
          const whole = await treeOn(store, base, second);
          assert.deepEqual(whole, await treeOn(store, base, less));
          // Nothing is left of it the second time.
          const all = await store.layers.view([base, (await store.layers.write(second)).diffId]);
          if (!second.some((entry) => 'opaque' in entry && entry.opaque)) {
            assert.deepEqual(pathsOf(changingEntries(second, all)), []);
          }
        }),
        { numRuns: 100 },
      );
    } finally {
      await store.close();
      rmSync(root, { recursive: true, force: true });
    }
  });
});

async function treeOn(store: Store, base: ReturnType<typeof digestOf>, entries: LayerEntry[]): Promise<unknown[]> {
  const view: TreeView = await store.layers.view([base, (await store.layers.write(entries)).diffId]);
  return [...view.walk('')].slice(1).map(({ path, type, mode, uid, size, mtime, link: to, digest }) => {
    return [path, type, mode, uid, size, type === 'directory' ? 0 : mtime, to, digest];
  });
}

const draft = fc.record({
  path: fc.array(fc.constantFrom('a', 'b', 'c'), { minLength: 1, maxLength: 3 }).map((parts) => parts.join('/')),
  kind: fc.constantFrom('file', 'file', 'folder', 'opaque', 'symlink', 'hardlink'),
  text: fc.constantFrom('', 'x', 'y'),
  mode: fc.constantFrom(0o755, 0o755, 0o700),
  mtime: fc.constantFrom(1000, 1000, 2000),
});

/** A layer whose folders come before what is in them; each path comes once. */
const layer: fc.Arbitrary<LayerEntry[]> = fc.array(draft, { maxLength: 8 }).map((drafts) => {
  const entries = new Map<string, LayerEntry>();
  for (const { path, kind, text, mode, mtime } of drafts) {
    const above = path
      .split('/')
      .slice(0, -1)
      .map((_, i, parts) => parts.slice(0, i + 1).join('/'));
    if (entries.has(path) || above.some((one) => (entries.get(one)?.type ?? 'directory') !== 'directory')) continue;
    for (const one of above) if (!entries.has(one)) entries.set(one, folder(one));
    const facts = { mode, mtime };
    const first = [...entries.values()].find(({ type }) => type === 'file');
    if (kind === 'symlink') entries.set(path, { path, type: 'symlink', ...made, mtime, link: 'x' });
    else if (kind === 'file') entries.set(path, file(path, text, facts));
    else if (kind !== 'hardlink') entries.set(path, folder(path, { ...facts, opaque: kind === 'opaque' }));
    else if (first) entries.set(path, link(path, first));
  }
  return [...entries.values()];
});
