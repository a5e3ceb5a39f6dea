import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { ROOT, STRAKE } from './support/repository.js';

describe('bench/ratios.mjs', function () {
  this.timeout(120_000);

  /** Its figures for the command, in front of which PRELUDE is run. */
  const judged = (only: string, prelude: string): { status: number | null; stdout: string } => {
    const folder = mkdtempSync(path.join(tmpdir(), 'strake-ratios-test-'));
    try {
      const cli = path.join(folder, 'strake.cjs');
      const start = `process.argv[1] = ${JSON.stringify(STRAKE)};\nrequire('node:module').runMain();\n`;
      writeFileSync(cli, `${prelude}\n${start}`);
      return spawnSync(
        process.execPath,
        [path.join(ROOT, 'bench/ratios.mjs'), '--runs', '1', '--only', only, '--cli', cli],
        {
          encoding: 'utf8',
        },
      );
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  };

  it('refuses a command that has become slow', () => {
    const { status, stdout } = judged(
      'start',
      'for (const end = process.cpuUsage().user + 3e5; process.cpuUsage().user < end; );',
    );
    assert.match(stdout, /^FAIL a cached build/m);
    assert.match(stdout, /\n0 passed, 1 failed\n$/);
    assert.equal(status, 1);
  });

  it('refuses a command that loads what it does not need', () => {
    const { status, stdout } = judged(
      'modules',
      `for (const name of ['https', 'worker_threads', 'zlib']) require(name);`,
    );
    assert.match(stdout, /^FAIL modules/m);
    assert.equal(status, 1);
  });

  it('passes the one that is here', () => {
    const { status, stdout } = judged('modules', '');
    assert.match(stdout, /\n1 passed, 0 failed\n$/);
    assert.equal(status, 0);
  });
});
