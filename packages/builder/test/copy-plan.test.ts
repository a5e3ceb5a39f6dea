import assert from 'node:assert/strict';

import { copyEntries } from '../src/copy/plan.js';
import type { SelectedSource } from '../src/copy/selection.js';
import { TargetTree } from '../src/copy/target-tree.js';
import type { SourceTree } from '../src/tree/source-tree.js';

const NOW = 9;

/** The time of the folder that a whole tree, whose root has the time 5, is copied into. */
function timeOfFolder(tree: Partial<SourceTree>, path: string): number | undefined {
  const source: SelectedSource = {
    tree: tree as SourceTree,
    name: path,
    entry: { path, type: 'directory', mode: 0o755, uid: 0, gid: 0, size: 0, mtime: 5 },
    below: [],
    contentsOnly: true,
    unpack: false,
  };
  const [folder] = copyEntries(new TargetTree(undefined, NOW), source, '/all/', {});
  return folder && 'mtime' in folder ? folder.mtime : undefined;
}

describe('the folder that a whole tree is copied into', () => {
  it('has the time of the build, and that of the root where it is said with the tree, as of a commit', () => {
    assert.equal(timeOfFolder({}, ''), NOW);
    assert.equal(timeOfFolder({ timedRoot: true }, ''), 5);
  });
  it('has the time of the source that is no root', () => {
    assert.equal(timeOfFolder({}, 'sub'), 5);
  });
});
