import assert from 'node:assert/strict';

import { isPassing } from '../src/source/resolver.js';

describe('names of images', () => {
  it('on a port that this machine gives to anyone are asked for again: another registry may answer there', () => {
    for (const name of ['127.0.0.1:40123', 'localhost:32768', '[::1]:60999', '127.1.2.3:50000']) {
      assert.equal(isPassing(name), true, name);
    }
    for (const name of [
      '127.0.0.1:5000',
      'localhost',
      'registry.example:40123',
      'docker.io',
      '10.0.0.1:40000',
      '128.0.0.1:40000',
    ]) {
      assert.equal(isPassing(name), false, name);
    }
  });
});
