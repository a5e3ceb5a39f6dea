import assert from 'node:assert/strict';

import type { Digest } from '@strake/core';

import { IndexCache } from '../src/layer/index-cache.js';

const digest = (n: number): Digest => `sha256:${n.toString(16).padStart(64, '0')}`;

describe('indexes in memory', () => {
  it('of a watch that makes a new layer at each save only the last ones stay', () => {
    const cache = new IndexCache(1000);
    cache.add(digest(0), { size: 10 });
    for (let save = 1; save < 50; save++) {
      cache.nextUse();
      assert.ok(cache.get(digest(0)), 'the base is asked for each time');
      cache.add(digest(save), { size: 10 });
      assert.ok(cache.size <= 50, `${cache.size} bytes after ${save} saves`);
    }
    assert.ok(cache.get(digest(49)));
    assert.equal(cache.get(digest(40)), undefined);
  });

  it('never more than the limit, but for the one used last', () => {
    const cache = new IndexCache(100);
    for (let n = 0; n < 20; n++) cache.add(digest(n), { size: 30 });
    assert.equal(cache.size, 90);
    cache.add(digest(99), { size: 500 });
    assert.equal(cache.size, 500);
    assert.ok(cache.get(digest(99)));
  });
});
