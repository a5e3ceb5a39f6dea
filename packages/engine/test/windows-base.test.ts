import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { createEngine } from '../src/index.js';

describe('an image for Windows as a base', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'strake-windows-'));
  after(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  it('takes what changes its config, and no layer: Windows would not show it', async () => {
    const engine = await createEngine({ root: path.join(folder, 'store') });
    const layout = path.join(folder, 'layout');
    const platforms = ['windows/amd64'];
    const build = (dockerfile: string, more: object = {}): Promise<unknown> =>
      engine.build({ context: { a: 'x' }, dockerfile, platforms, ...more });
    const on = { buildContexts: { base: `oci-layout://${layout}` } };
    try {
      const output = { type: 'oci', attributes: { dest: layout, tar: 'false' } } as const;
      await build('FROM scratch\nCOPY a /Files/a\n', { outputs: [output] });
      await build('FROM base\nENV a=b\nCMD x\n', on);
      for (const step of ['COPY a /', 'ADD a /', 'WORKDIR /w', 'RUN x']) {
        await assert.rejects(build(`FROM base\nENV a=b\n${step}\n`, on), (error: { code?: string }) => {
          assert.equal(error.code, 'UNSUPPORTED');
          return true;
        });
      }
    } finally {
      await engine.close();
    }
  });
});
