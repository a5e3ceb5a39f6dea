import assert from 'node:assert/strict';

import type { Store } from '@strake/store';

import { chainCodec } from '../src/chain-codec.js';

const diffId = `sha256:${'a'.repeat(64)}`;
const reference = { registry: 'docker.io', repository: 'library/x' };

describe('records of the cache that something has damaged', () => {
  const store = {
    layers: { size: () => Promise.resolve(undefined) },
    blobs: { size: () => Promise.resolve(undefined) },
  } as unknown as Store;
  const codec = chainCodec(store, () => Promise.reject(new Error('no registry is to be asked')));

  it('are misses', async () => {
    const damaged: unknown[] = [null, 5, {}, { layers: 'x' }, { layers: [null] }, { layers: [{ diffId: 'x' }] }];
    for (const origin of [
      {},
      { descriptor: null },
      { descriptor: { digest: '../..', size: 1 } },
      { descriptor: 'x', reference },
    ]) {
      damaged.push({ layers: [{ diffId, origin }] });
    }
    damaged.push({
      layers: [{ diffId, origin: { descriptor: { digest: diffId, size: 5 }, reference: { registry: 5 } } }],
    });
    for (const value of damaged) assert.equal(await codec.load(value), undefined, JSON.stringify(value));
  });

  it('are used where they are whole', async () => {
    const origin = { descriptor: { mediaType: '', digest: diffId, size: 5 }, reference };
    assert.equal((await codec.load({ layers: [{ diffId, origin }] }))?.layers.length, 1);
  });
});
