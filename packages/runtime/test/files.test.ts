import assert from 'node:assert/strict';

import { isStrakeError } from '@strake/core';

import { capabilityNames, capabilitySet, DEFAULT_CAPABILITIES } from '../src/capabilities.js';
import { hostsFile, resolvConf } from '../src/network-files.js';
import { ociConfig } from '../src/oci-config.js';
import { resourceLimits, UNLIMITED } from '../src/rlimits.js';
import type { ContainerSpec } from '../src/index.js';

const SPEC: ContainerSpec = {
  root: { kind: 'bind', source: '/r', readOnly: false },
  args: ['a', '"soft":"<1>"'],
  env: ['A=b'],
  cwd: '/',
  user: { uid: 1, gid: 2, additionalGids: [3] },
  hostname: 'h',
  mounts: [],
  network: 'none',
  security: 'sandbox',
  extraHosts: [{ name: 'a.example', address: '::2' }],
  ulimits: [],
  shmSize: 1,
  stdin: 'none',
};

describe('files of a container', () => {
  it('/etc/hosts names the machine and what was added', () => {
    assert.equal(
      hostsFile(SPEC),
      '127.0.0.1\tlocalhost h\n::1\tlocalhost ip6-localhost ip6-loopback\n::2\ta.example\n',
    );
  });
  it('/etc/resolv.conf is as the machine has it, but for what cannot be reached', () => {
    const host =
      '# comment\nnameserver 127.0.0.53\nnameserver 192.0.2.1\n nameserver ::1\noptions edns0\nsearch a b\nbogus x\n';
    assert.equal(
      resolvConf(host, { network: 'host' }),
      'nameserver 127.0.0.53\nnameserver 192.0.2.1\nnameserver ::1\noptions edns0\nsearch a b\n',
    );
    assert.equal(resolvConf(host, { network: 'host', nameservers: ['10.0.2.3'] }), 'nameserver 10.0.2.3\n');
    assert.equal(resolvConf(host, { network: 'host', nameservers: [] }), '');
    assert.equal(resolvConf(host, { network: 'none' }), 'nameserver 192.0.2.1\noptions edns0\nsearch a b\n');
  });
});

describe('capabilities', () => {
  it('are the fourteen of Docker', () => {
    assert.equal(DEFAULT_CAPABILITIES, 0xa80425fbn);
    assert.equal(
      capabilityNames(DEFAULT_CAPABILITIES).join(' '),
      'CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER CAP_FSETID CAP_KILL CAP_SETGID CAP_SETUID CAP_SETPCAP CAP_NET_BIND_SERVICE CAP_NET_RAW ' +
        'CAP_SYS_CHROOT CAP_MKNOD CAP_AUDIT_WRITE CAP_SETFCAP',
    );
  });
  it('are read from a status', () => {
    assert.equal(capabilitySet('CapPrm:\t0000000000000003\nCapBnd:\t000001ffffffffff\n', 'CapBnd'), 0x1ffffffffffn);
    assert.equal(capabilitySet('', 'CapBnd'), 0n);
  });
});

describe('resource limits', () => {
  const own =
    'Limit                     Soft Limit           Hard Limit           Units\nMax open files            1024                 4096                 files\nMax cpu time              unlimited            unlimited            seconds\n';
  it('are never above those of this process', () => {
    const limits = [
      { name: 'nofile', soft: 5000, hard: 10000 },
      { name: 'cpu', soft: 1, hard: -1 },
    ];
    assert.deepEqual(resourceLimits(limits, own), [
      { type: 'RLIMIT_NOFILE', soft: 4096n, hard: 4096n },
      { type: 'RLIMIT_CPU', soft: 1n, hard: UNLIMITED },
    ]);
  });
  it('refuses what is no limit', () => {
    for (const limit of [
      { name: 'toString', soft: 1, hard: 1 },
      { name: 'nofile', soft: 1.5, hard: 2 },
      { name: 'nofile', soft: NaN, hard: 2 },
    ]) {
      assert.throws(
        () => resourceLimits([limit], own),
        (error) => isStrakeError(error, 'CONTAINER_SPEC_INVALID'),
      );
    }
  });
});

describe('config.json', () => {
  const limits = [{ type: 'RLIMIT_NOFILE', soft: 1n, hard: UNLIMITED }];
  const status = 'CapPrm:\t00000000a80425fb\nCapBnd:\t0000000000000003\n';
  it('holds numbers of 64 bits, and arguments as they are', () => {
    const text = ociConfig(SPEC, { root: '/r', cwd: '/', sysfs: false, limits, status, flavor: 'runc' });
    assert.match(text, /"soft":1,"hard":18446744073709551615/);
    const config = JSON.parse(text) as {
      process: { args: string[]; capabilities: { bounding: string[] } };
      annotations?: object;
      hooks?: object;
    };
    assert.deepEqual(config.process.args, SPEC.args);
    assert.deepEqual(config.process.capabilities.bounding, ['CAP_CHOWN', 'CAP_DAC_OVERRIDE']);
    assert.deepEqual([config.annotations, config.hooks], [undefined, undefined]);
  });
  it('gives crun the filter and the remount that it needs', () => {
    const text = ociConfig(SPEC, {
      root: '/r',
      cwd: '/',
      sysfs: true,
      limits,
      status,
      flavor: 'crun',
      mountProgram: '/m',
    });
    const config = JSON.parse(text) as {
      annotations: object;
      hooks: { createContainer: { path: string; args: string[] }[] };
    };
    assert.deepEqual(config.hooks.createContainer[0]?.args.slice(-2), ['/m', '/r']);
    if (process.arch === 'x64') assert.deepEqual(Object.keys(config.annotations), ['run.oci.seccomp_bpf_data']);
  });
});
