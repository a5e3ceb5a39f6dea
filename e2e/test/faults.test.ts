import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { compiler } from './support/faults/injector.js';
import { ROOT } from './support/repository.js';

describe('calls that fail, and power cuts', function () {
  this.timeout(400_000);

  const sweep = async (...flags: readonly string[]): Promise<void> => {
    const argv = ['e2e/faults.mjs', ...flags];
    const output = await new Promise<string>((resolve) => {
      execFile(process.execPath, argv, { cwd: ROOT }, (_error, stdout, stderr) => resolve(stdout + stderr));
    });
    assert.match(output, /^[1-9][0-9]* passed, 0 failed$/m, output);
  };

  // Many more: `node e2e/faults.mjs`.
  it('leave a sound store, and one that goes on', async function () {
    if (compiler() === undefined) this.skip();
    await sweep('--each', '1', '--cuts', '1', '--seed', '11');
  });

  it('are named where a folder cannot be made, which Node tells of as one that is missing', async function () {
    if (compiler() === undefined) this.skip();
    await sweep('--only', 'changed build', '--calls', 'mkdir', '--kind', 'EIO', '--each', '12', '--cuts', '0');
  });
});
