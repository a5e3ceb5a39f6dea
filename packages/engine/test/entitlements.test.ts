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

  it('of hosts is an address, as buildx asks for one', () => {
    const hosts = (text: string): unknown => lowerOptionsOf({ context: '.', addHosts: [text] }).extraHosts;
    assert.deepEqual(hosts('A=::1'), [{ name: 'a', address: '::1' }]);
    assert.deepEqual(hosts('a:[::1]'), [{ name: 'a', address: '::1' }]);
    for (const bad of [
      'a:1.2.3',
      'a:1',
      'a:abcd',
      'a:1.2.3.4:5',
      'a:01.2.3.4',
      'a:fe80::1%eth0',
      'a:',
      ':1.2.3.4',
      'a',
    ])
      assert.throws(() => hosts(bad), { message: `invalid host "${bad}"` }, bad);
  });

  it('is nothing unknown', () => {
    assert.throws(() => lowerOptionsOf({ context: '.', allow: ['network.hosts'] }), {
      message: 'unknown entitlement network.hosts',
    });
  });
});
