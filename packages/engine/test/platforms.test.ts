import assert from 'node:assert/strict';
import { hostPlatform } from '@strake/core';
import { platformsOf } from '../src/build-call.js';

describe('the platforms of a build', () => {
  it('are those that are named, `local` among them: this machine', () => {
    const arm = { os: 'linux', architecture: 'arm64' };
    assert.deepEqual(platformsOf({ context: '.', platforms: ['local, linux/arm64'] }), [hostPlatform(), arm]);
  });

  it('is this machine alone where none is', () => {
    assert.deepEqual(platformsOf({ context: '.' }), [hostPlatform()]);
  });
});
