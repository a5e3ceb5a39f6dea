import assert from 'node:assert/strict';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { checkRoom } from '../src/copy/room.js';
import { EntryList, type SelectedSource } from '../src/copy/selection.js';
import { temporaryTree } from '../src/source/temporary-tree.js';

describe('room on the disk', () => {
  let folder: string;
  beforeEach(() => {
    folder = fs.mkdtempSync(join(tmpdir(), 'strake-room-'));
  });
  afterEach(() => fs.rmSync(folder, { recursive: true }));

  /** The context's folder as COPY selects it. */
  const selected = (): SelectedSource => {
    const tree = temporaryTree(folder);
    const entry = tree.lookup('');
    assert.ok(entry);
    const found = Array.from(tree.children(''), (child) => ({ relative: child.path, entry: child }));
    const below = new EntryList(tree, '', found);
    return { tree, name: 'context', entry, below, contentsOnly: false, unpack: false };
  };
  const sparse = (name: string, size: number): void => {
    fs.writeFileSync(join(folder, name), 'x');
    fs.truncateSync(join(folder, name), size);
  };

  it('is there for a sparse file that fits thanks to its holes', () => {
    const { bavail, bsize } = fs.statfsSync(folder);
    sparse('large', bavail * bsize + 2 ** 30);
    checkRoom([selected()], folder);
    sparse('other', 2 ** 30);
    checkRoom([selected()], folder);
  });

  it('is not there for holes without end', () => {
    const { bavail, bsize } = fs.statfsSync(folder);
    sparse('endless', bavail * bsize + 257 * 2 ** 30);
    assert.throws(() => checkRoom([selected()], folder), { code: 'DISK_FULL', message: /no space left for it/ });
  });
});
