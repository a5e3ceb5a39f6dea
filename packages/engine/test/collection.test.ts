import assert from 'node:assert/strict';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { openStore } from '@strake/store';

import { createBuildMemory } from '../src/build-memory.js';
import { createEngine } from '../src/engine.js';
import { createResources } from '../src/resources.js';
import type { Engine } from '../src/types.js';

describe('what is collected beside builds', function () {
  this.timeout(60_000);
  let folder: string;
  before(() => (folder = fs.mkdtempSync(join(tmpdir(), 'strake-collection-'))));
  after(() => fs.rmSync(folder, { recursive: true, force: true }));

  it('a build with a memory does not wait until its cache is small again, nor does the end of its engine', async () => {
    const root = join(folder, 'store');
    const context = join(folder, 'context');
    fs.mkdirSync(context);
    fs.writeFileSync(join(context, 'Dockerfile'), 'FROM scratch\nCOPY file /\n');
    const env = { ...process.env, STRAKE_GC_RESERVED: '0', STRAKE_GC_MAX_USED: '0' };
    const store = await openStore({ root });
    const blobs = (): string[] => fs.readdirSync(join(root, 'blobs/sha256'));
    const build = async (text: string, then: (engine: Engine) => Promise<void>): Promise<void> => {
      const held = await store.lock('collect');
      const engine = await createEngine({ root }, env);
      try {
        fs.writeFileSync(join(context, 'file'), text);
        await engine.build({ context, memory: createBuildMemory() });
        assert.notEqual(blobs().length, 0);
        await then(engine);
        await held.release();
        while (engine !== ended && blobs().length > 0) await new Promise((resolve) => setImmediate(resolve));
      } finally {
        await engine.close();
      }
    };
    let ended: Engine | undefined;
    try {
      await build('one', () => Promise.resolve());
      await build('two', (engine) => (ended = engine).close());
    } finally {
      await store.close();
    }
  });

  it('is one thing at a time', async () => {
    const resources = createResources({ root: join(folder, 'other') }, process.env);
    const done: string[] = [];
    let end = (): void => undefined;
    const first = new Promise<void>((resolve) => (end = resolve));
    resources.background(() => first.then(() => void done.push('first')));
    resources.background(() => Promise.resolve(void done.push('second')));
    end();
    await resources.close();
    assert.deepEqual(done, ['first']);
  });
});
