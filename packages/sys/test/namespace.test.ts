import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** What a scenario of namespace-child.ts printed. */
function run(scenario: string): unknown {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'sys-child-'));
  try {
    const child = fileURLToPath(new URL('./namespace-child.js', import.meta.url));
    const { status, stdout, stderr } = spawnSync(process.execPath, [child, scenario, folder], { encoding: 'utf8' });
    assert.equal(status, 0, stderr);
    return JSON.parse(stdout);
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

describe('calls that need root', function () {
  this.timeout(10_000);
  before(function () {
    if (process.getuid?.() !== 0 || spawnSync('unshare', ['--mount', 'true']).status !== 0) this.skip();
  });

  it('mounts file systems and copies of mounts', () => {
    assert.deepEqual(run('overlay'), ['a', 'b', ['new'], 'EROFS', []]);
  });
  it('names the error of a mount', () => assert.equal(run('failure'), 'ENOENT'));
  it('has host names and networks of its own', () => assert.deepEqual(run('names'), ['of-its-own', true]));
  it('changes the root of the mount namespace', () => assert.deepEqual(run('pivot'), ['only']));
  it('changes the root of the process', () => assert.deepEqual(run('root'), ['only']));
  it('becomes another user for good', () => {
    assert.deepEqual(run('identity'), [
      '1234\t1234\t1234\t1234',
      '5678\t5678\t5678\t5678',
      '7 9',
      '0000000000000000',
      '0000000000000001',
    ]);
  });
  it('gives capabilities up', () => {
    assert.deepEqual(run('capabilities'), ['0000004000000005', '0000004000000005', '0000000000000000']);
  });
  it('filters system calls', () => assert.deepEqual(run('filter'), ['done', 'EPERM']));
  it('becomes another program', () => assert.deepEqual(run('exec'), ['b c', 'zero', '50', '4', '0000000000000000']));
  it('tells why it cannot', () => assert.equal(run('exec-failure'), 'ENOENT'));
});
