import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { isStrakeError } from '@strake/core';

import { createResources, type Resources } from '../src/resources.js';

describe('resources of an engine', function () {
  this.timeout(60_000);
  let folder: string;
  let resources: Resources;
  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'strake-resources-'));
    resources = createResources({ root: path.join(folder, 'store') }, process.env);
  });
  afterEach(async () => {
    await resources.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it('share one agent, and have another once that was dismissed', async function () {
    let first;
    try {
      first = await resources.agent();
    } catch (error) {
      if (isStrakeError(error, 'AGENT_UNAVAILABLE')) this.skip();
      throw error;
    }
    assert.equal(await resources.agent(), first);
    resources.dismissAgent();
    const second = await resources.agent();
    assert.notEqual(second, first);
    await first.close(); // has ended, or is waited for
    await assert.rejects(first.probe());
    await second.probe();
  });

  it('leave no cgroup of an agent', async function () {
    let agent;
    try {
      agent = await resources.agent();
    } catch (error) {
      if (isStrakeError(error, 'AGENT_UNAVAILABLE')) this.skip();
      throw error;
    }
    const { capabilities } = await agent.probe();
    if (!capabilities.some(({ name, available }) => name === 'device nodes' && available)) this.skip();
    const { holder } = await resources.store();
    const made = (): string =>
      spawnSync('find', ['/sys/fs/cgroup', '-name', `strake-*${holder}*`], { encoding: 'utf8' }).stdout;
    assert.notEqual(made(), '');
    await resources.close();
    assert.equal(made(), '');
  });

  it('have nothing to dismiss before an agent was asked for', () => {
    resources.dismissAgent();
  });
});
