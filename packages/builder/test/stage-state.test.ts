import assert from 'node:assert/strict';

import type { ContainerConfig } from '@strake/core';

import type { ResolvedImage } from '../src/lower/context.js';
import { startFromImage, startFromStage } from '../src/lower/stage-state.js';

const PLATFORM = { os: 'linux', architecture: 'amd64' };

/** A base image with a config. */
function base(config: ContainerConfig | undefined): ResolvedImage {
  const document = config && { ...PLATFORM, rootfs: { type: 'layers' as const, diff_ids: [] }, config };
  return { vertex: {} as ResolvedImage['vertex'], platform: PLATFORM, config: document, layerCount: 0, layerName: '' };
}

describe('the working directory that a stage begins with', () => {
  it('of an image that names none: none, for the stages built on it too', () => {
    for (const config of [{}, { WorkingDir: '' }]) {
      const stage = startFromImage(base(config));
      assert.equal('WorkingDir' in stage.config, false);
      assert.equal('WorkingDir' in startFromStage(stage).config, false);
    }
  });
  it('of scratch: /', () => {
    assert.equal(startFromImage(base(undefined)).config.WorkingDir, '/');
  });
  it('is absolute; one that was is left as it is written', () => {
    assert.equal(startFromImage(base({ WorkingDir: 'a/../b/' })).config.WorkingDir, '/b');
    assert.equal(startFromImage(base({ WorkingDir: '/a//b/' })).config.WorkingDir, '/a//b/');
  });
});
