import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { compiler } from './support/faults/injector.js';
import { ROOT } from './support/repository.js';

describe('calls that fail, and power cuts', function () {
  this.timeout(400_000);

  // Many more: `node e2e/faults.mjs`.
  it('leave a sound store, and one that goes on', async function () {
    if (compiler() === undefined) this.skip();
    const argv = ['e2e/faults.mjs', '--each', '1', '--cuts', '1', '--seed', '11'];
    const output = await new Promise<string>((resolve) => {
      execFile(process.execPath, argv, { cwd: ROOT }, (_error, stdout, stderr) => resolve(stdout + stderr));
    });
    assert.match(output, /^[1-9][0-9]* passed, 0 failed$/m, output);
  });
});
