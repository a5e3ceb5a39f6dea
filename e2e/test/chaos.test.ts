import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import path from 'node:path';
import { ROOT } from './support/repository.js';

describe('builds that are killed beside others while the store is pruned', function () {
  this.timeout(240_000);

  // The whole of it, 100 builds of which 20 are killed, is `node e2e/chaos.mjs`.
  it('leave no wrong image, process, mount, lease, temporary file or blob', async () => {
    const argv = ['e2e/chaos.mjs', '--builds', '10', '--kill', '3', '--parallel', '4', '--seed', '776783'];
    const output = await new Promise<string>((resolve) => {
      execFile(process.execPath, argv, { cwd: path.resolve(ROOT) }, (_error, stdout, stderr) =>
        resolve(stdout + stderr),
      );
    });
    assert.match(output, /^1 passed, 0 failed$/m, output);
  });
});
