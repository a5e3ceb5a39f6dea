import assert from 'node:assert/strict';

import type { ImageConfig, Platform } from '@strake/core';

import { assembleConfig } from '../src/image.js';
import type { ResolvedImage } from '../src/lower/context.js';
import { startFromImage } from '../src/lower/stage-state.js';

const PARTS = ['os', 'architecture', 'variant', 'os.version', 'os.features'] as const;

/** What the config of an image says of its platform where its base says BASE and the build is for WANTED. */
async function platformOn(base: Partial<Platform>, wanted?: Platform): Promise<unknown> {
  const document = { ...base, rootfs: { type: 'layers' as const, diff_ids: [] } } as unknown as ImageConfig;
  const resolved = {
    vertex: {} as ResolvedImage['vertex'],
    platform: base as Platform,
    config: document,
    layerCount: 0,
    layerName: '',
  };
  const config = await assembleConfig(startFromImage(resolved), [], {
    labels: {},
    platform: wanted,
    epoch: undefined,
    createdAt: () => Promise.resolve(undefined),
  });
  return Object.fromEntries(PARTS.flatMap((part) => (part in config ? [[part, config[part]]] : [])));
}

describe('the platform in the config of an image', () => {
  const amd64 = { os: 'linux', architecture: 'amd64' };
  const windows = { os: 'windows', architecture: 'amd64', 'os.version': '10.0.20348.1006', 'os.features': ['win32k'] };

  it('has nothing of a base for another processor but its name', async () => {
    assert.deepEqual(await platformOn({ os: 'linux', architecture: 'arm', variant: 'v6' }, amd64), amd64);
    assert.deepEqual(await platformOn({ ...windows, 'os.features': undefined }, amd64), amd64);
  });
  it('has the variant of a base for the same processor, and the version of its Windows', async () => {
    const v6 = { os: 'linux', architecture: 'arm', variant: 'v6' };
    assert.deepEqual(await platformOn(v6, { os: 'linux', architecture: 'arm' }), v6);
    assert.deepEqual(await platformOn(windows, { os: 'windows', architecture: 'amd64' }), windows);
    assert.deepEqual(await platformOn(windows), windows);
    assert.deepEqual(await platformOn(windows, { ...windows, 'os.version': '10.0.20348.9' }), {
      ...windows,
      'os.version': '10.0.20348.9',
    });
  });
  it('is spelled in one way', async () => {
    const arm64 = { os: 'linux', architecture: 'arm64' };
    assert.deepEqual(await platformOn({ ...arm64, variant: 'v8' }, arm64), arm64);
    assert.deepEqual(await platformOn({ ...arm64, variant: 'v8' }), arm64);
    assert.deepEqual(await platformOn({ os: 'Linux', architecture: 'x86_64' }), amd64);
    assert.deepEqual(await platformOn({}), { os: 'linux', architecture: '' });
  });
});
