import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { isStrakeError, type ProgressSink } from '@strake/core';
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

  it('tells the warnings in front of what ends it, be that a line that is none, a name or a base image', async () => {
    const engine = await createEngine({ root: path.join(folder, 'store') });
    const warned = async (...lines: string[]): Promise<readonly unknown[]> => {
      const rules: unknown[] = [];
      const onEvent: ProgressSink = (event) => event.type === 'warning' && rules.push(event.rule);
      const dockerfile = `${lines.join('\n')}\n`;
      const contexts = { gone: `oci-layout://${path.join(folder, 'gone')}` };
      const build = engine.build({ context: {}, dockerfile, onEvent, buildContexts: contexts });
      await assert.rejects(build, isStrakeError);
      return rules;
    };
    try {
      assert.deepEqual(await warned('FROM scratch AS Name', 'MAINTAINER me', 'BADCMD', 'MAINTAINER me'), [
        'StageNameCasing',
        'MaintainerDeprecated',
      ]);
      assert.deepEqual(await warned('FROM scratch as a', 'FROM No_Name'), ['FromAsCasing', 'InvalidDefaultArgInFrom']);
      assert.deepEqual(await warned('FROM gone as a', 'MAINTAINER me', 'ENV a b'), [
        'FromAsCasing',
        'MaintainerDeprecated',
      ]);
    } finally {
      await engine.close();
    }
  });
});
