import assert from 'node:assert/strict';

import { EarlySync } from '../src/early-sync.js';

const MIB = 1 << 20;

/** A file whose syncs end with OUTCOMES, one after the other. */
function fileWith(outcomes: readonly ('well' | Error)[]): { datasync(): Promise<void>; readonly calls: () => number } {
  let calls = 0;
  return {
    datasync: () => {
      const outcome = outcomes[calls++] ?? 'well';
      return outcome === 'well' ? Promise.resolve() : Promise.reject(outcome);
    },
    calls: () => calls,
  };
}

describe('A file that is brought to the disk while it is written', () => {
  it('is begun with at every 32 MiB, one at a time, and ended with', async () => {
    const file = fileWith([]);
    const sync = new EarlySync(file);
    for (let i = 0; i < 31; i++) sync.wrote(MIB);
    assert.equal(file.calls(), 0);
    for (let i = 0; i < 64; i++) sync.wrote(MIB);
    assert.equal(file.calls(), 1);
    await sync.settled();
    sync.wrote(1);
    assert.equal(file.calls(), 2);
    await sync.end();
    assert.equal(file.calls(), 3);
  });

  it('is not there where any of it could not be written, though the kernel says that once', async () => {
    const sync = new EarlySync(fileWith([new Error('EIO')]));
    sync.wrote(32 * MIB);
    await sync.settled();
    await assert.rejects(sync.end(), /EIO/);
  });
});
