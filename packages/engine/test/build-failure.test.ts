import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { Solver } from '@strake/solver';

import { createEngine } from '../src/engine.js';

describe('a build that fails', () => {
  const { prototype } = Solver;
  const { outcome } = prototype;
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'strake-failure-'));
  });
  afterEach(() => {
    prototype.outcome = outcome;
    rmSync(folder, { recursive: true, force: true });
  });

  it('tells its own error, whatever is wrong with what can be said of its steps', async () => {
    prototype.outcome = () => Promise.reject(new TypeError('not the reason'));
    const engine = await createEngine({ root: path.join(folder, 'store') });
    try {
      const build = engine.build({ context: { a: 'x' }, dockerfile: 'FROM scratch\nCOPY a /a\nCOPY a /a/b\n' });
      await assert.rejects(build, { code: 'COPY_CONFLICT' });
    } finally {
      await engine.close();
    }
  });
});
