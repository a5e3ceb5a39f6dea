import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import { join } from 'node:path';

import { FileTable } from '../src/tree/file-table.js';
import { LocalTree } from '../src/tree/local-tree.js';

describe('a context that changes while it is read', () => {
  it('is refused by the name of what changed, whatever the system says of it', () => {
    const root = fs.realpathSync(fs.mkdtempSync(join(os.tmpdir(), 'strake-tree-')));
    try {
      fs.writeFileSync(join(root, 'f'), '');
      for (const code of ['ENOENT', 'ENOTDIR', 'EACCES']) {
        const tree = new LocalTree({
          root,
          table: new FileTable(),
          // As if the file had been replaced between the look at it and the look at its attributes.
          xattrs: (path) => {
            if (path === root) return undefined;
            throw Object.assign(new Error('gone'), { code });
          },
        });
        assert.throws(() => tree.lookup('f'), { code: 'CONTEXT_UNREADABLE', message: /"f" of the context/ });
      }
    } finally {
      fs.rmSync(root, { recursive: true });
    }
  });
});
