import assert from 'node:assert/strict';

import { lowerOptionsOf } from '../src/build-call.js';

describe('what a Dockerfile may ask for', () => {
  it('is what --allow names, and the network of the host where the build has it for all steps', () => {
    const allowed = (options: Parameters<typeof lowerOptionsOf>[0]): readonly string[] => [
      ...lowerOptionsOf(options).allow,
    ];
    assert.deepEqual(allowed({ context: '.' }), []);
    assert.deepEqual(allowed({ context: '.', network: 'default' }), []);
    assert.deepEqual(allowed({ context: '.', network: 'host' }), ['network.host']);
    assert.deepEqual(allowed({ context: '.', allow: ['security.insecure'], network: 'host' }), [
      'security.insecure',
      'network.host',
    ]);
  });

  it('is nothing unknown', () => {
    assert.throws(() => lowerOptionsOf({ context: '.', allow: ['network.hosts'] }), {
      message: 'unknown entitlement network.hosts',
    });
  });
});
