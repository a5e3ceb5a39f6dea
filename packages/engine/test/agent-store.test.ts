import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { StrakeError } from '@strake/core';

import { createEngine } from '../src/engine.js';

describe('an agent whose store cannot be opened', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'strake-agent-store-'));
  after(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  it('says so, and does not end over it', async () => {
    const root = path.join(folder, 'store');
    const engine = await createEngine({ root });
    try {
      await engine.build({ context: { a: 'x' }, dockerfile: 'FROM scratch\nCOPY a /\n' });
      // Since this process opened the store its disk has begun to fail, as far as can be had without one.
      rmSync(path.join(root, 'format'));
      mkdirSync(path.join(root, 'format'));
      const build = engine.build({ context: {}, dockerfile: 'FROM scratch\nRUN true\n' });
      await assert.rejects(build, (error: unknown) => {
        assert.ok(error instanceof StrakeError);
        assert.equal(error.code, 'STORE_DENIED');
        assert.match(error.message, /EISDIR/);
        return true;
      });
    } finally {
      await engine.close();
    }
  });
});
