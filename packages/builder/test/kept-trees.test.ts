import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import { join } from 'node:path';

import { KeptTrees } from '../src/source/kept-trees.js';
import { FileTable } from '../src/tree/file-table.js';
import { LocalTree } from '../src/tree/local-tree.js';
import { TreeMemory } from '../src/tree/tree-memory.js';

const FILES = 300;

describe('looking at everything again, a few files at a time', () => {
  let root: string;
  let trees: KeptTrees;
  const roots = (): string[] => ['one', 'two'].map((name) => join(root, name));
  const name = (i: number): string => `f${String(i).padStart(3, '0')}`;

  beforeEach(async () => {
    root = fs.realpathSync(fs.mkdtempSync(join(os.tmpdir(), 'strake-kept-')));
    trees = new KeptTrees();
    for (const folder of roots()) {
      fs.mkdirSync(folder);
      for (let i = 0; i < FILES; i++) fs.writeFileSync(join(folder, name(i)), '');
      const options = { root: folder, table: new FileTable(), memory: new TreeMemory(), xattrs: () => undefined };
      const tree = await trees.open(folder, undefined, () => Promise.resolve(new LocalTree(options)));
      for (let i = 0; i < FILES; i++) assert.ok(tree.lookup(name(i)));
    }
  });

  afterEach(() => fs.rmSync(root, { recursive: true }));

  /** What one whole round finds, and in how many turns. */
  function round(): { found: string[]; turns: number } {
    const found: string[] = [];
    for (let turns = 1; ; turns++) {
      const { changed, done } = trees.lookOn();
      found.push(...changed);
      if (done) return { found, turns };
    }
  }

  it('finds what has changed in every tree', () => {
    const [one = '', two = ''] = roots();
    assert.deepEqual(round().found, []);
    const silent = [join(one, name(1)), join(one, name(FILES - 1)), join(two, name(FILES - 1))];
    for (const path of silent) fs.writeFileSync(path, 'nobody told');
    const { found, turns } = round();
    assert.deepEqual(found, silent);
    assert.ok(turns > 2, `${turns} turns`);
  });

  it('goes on behind a change that was told meanwhile', () => {
    const [one = '', two = ''] = roots();
    trees.lookOn();
    const told = join(one, name(0));
    fs.writeFileSync(told, 'told');
    trees.changed([told]);
    fs.writeFileSync(join(one, name(1)), 'behind the round');
    fs.writeFileSync(join(two, name(1)), 'before it');
    assert.deepEqual(round().found, [join(two, name(1))]);
    assert.deepEqual(round().found, [join(one, name(1)), join(two, name(1))]);
  });

  it('begins anew where the trees are others', () => {
    trees.lookOn();
    trees.restart();
    assert.deepEqual(trees.lookOn(), { changed: [], done: true });
  });
});
