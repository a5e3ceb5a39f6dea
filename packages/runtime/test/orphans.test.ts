import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const PROGRAM = fileURLToPath(new URL('support/orphans-main.js', import.meta.url));

describe('orphans', function () {
  this.timeout(60_000);

  const outcome = async (...argv: string[]): Promise<unknown> => {
    const { stdout } = await promisify(execFile)(process.execPath, [PROGRAM, ...argv]);
    return JSON.parse(stdout);
  };

  it('are buried, and no child of Node is in its stead', async () => {
    assert.deepEqual(await outcome(), { heard: 20, state: 'gone' });
  });

  it('stay where nobody looks after them', async () => {
    assert.deepEqual(await outcome('--unburied'), { heard: 20, state: 'Z' });
  });
});
