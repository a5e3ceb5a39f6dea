import assert from 'node:assert/strict';
import { digestOf } from '@strake/core';
import fs from 'node:fs';
import net from 'node:net';
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

describe('files of /proc in a context', () => {
  const root = `/proc/${process.pid}`;
  for (const [name, message] of [
    ['cmdline', /"cmdline" of the context grew while it was read/],
    ['mem', /cannot read "mem" of the context: EIO/],
    ['pagemap', /cannot read "pagemap" of the context: EINVAL/],
  ] as const)
    it(`${name} is refused by name`, async () => {
      const tree = new LocalTree({ root, table: new FileTable(), xattrs: () => undefined });
      const entry = tree.lookup(name);
      assert.ok(entry);
      await assert.rejects(tree.learn([entry]), { code: 'CONTEXT_UNREADABLE', message });
    });
});

describe('a socket in a context', () => {
  it('is an empty file with its mode', async () => {
    const root = fs.realpathSync(fs.mkdtempSync(join(os.tmpdir(), 'strake-tree-')));
    const server = net.createServer();
    try {
      await new Promise<void>((resolve) => server.listen(join(root, 's'), resolve));
      fs.chmodSync(join(root, 's'), 0o640);
      const tree = new LocalTree({ root, table: new FileTable(), xattrs: () => undefined });
      const entry = tree.lookup('s');
      assert.ok(entry);
      assert.deepEqual([entry.type, entry.size, entry.mode], ['file', 0, 0o640]);
      await tree.learn([entry]);
      assert.equal(tree.digest(entry), digestOf(new Uint8Array(0)));
      assert.deepEqual(tree.source(entry), { kind: 'bytes', bytes: new Uint8Array(0) });
      for await (const chunk of tree.read(entry)) assert.equal(chunk.length, 0);
    } finally {
      server.close();
      fs.rmSync(root, { recursive: true });
    }
  });
});
