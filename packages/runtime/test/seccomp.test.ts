import assert from 'node:assert/strict';
import fs from 'node:fs';

import { seccompFilter } from '../src/seccomp-filter.js';
import { seccompProfile } from '../src/seccomp.js';

const X64 = 0xc000003e;
const IA32 = 0x40000003;
const ARM64 = 0xc00000b7;
const ALLOW = 'allow';

/** What a filter says to a call: an interpreter of the part of BPF that filters are written in. */
function verdict(filter: Buffer, arch: number, number: number, argument = 0): string {
  let accumulator = 0;
  for (let at = 0; at < filter.length / 8; at++) {
    const [code, yes, no, value] = [
      filter.readUInt16LE(at * 8),
      filter[at * 8 + 2] ?? 0,
      filter[at * 8 + 3] ?? 0,
      filter.readUInt32LE(at * 8 + 4),
    ];
    if (code === 0x20) accumulator = { 0: number, 4: arch, 16: argument }[value] ?? NaN;
    else if (code === 0x54) accumulator = (accumulator & value) >>> 0;
    else if (code === 0x05) at += value;
    else if (code === 0x15) at += accumulator === value ? yes : no;
    else if (code === 0x35) at += accumulator >= value ? yes : no;
    else if (code === 0x06) return value === 0x7fff0000 ? ALLOW : `errno ${value & 0xffff}`;
    else assert.fail(`instruction ${code}`);
  }
  return assert.fail('the program has no end');
}

describe('the system call filter', () => {
  const filter = seccompFilter('x64') ?? assert.fail();
  const say = (number: number, argument = 0): string => verdict(filter, X64, number, argument);

  it('lets programs work', () => {
    for (const number of [0, 1, 59, 165 - 4, 257, 302, 332, 439, 451]) assert.equal(say(number), ALLOW, String(number));
  });
  it('refuses what reaches beyond a container', () => {
    const refused = {
      mount: 165,
      umount2: 166,
      reboot: 169,
      sethostname: 170,
      init_module: 175,
      keyctl: 250,
      unshare: 272,
      setns: 308,
      bpf: 321,
    };
    const more = {
      kexec_load: 246,
      perf_event_open: 298,
      userfaultfd: 323,
      open_tree: 428,
      fsopen: 430,
      io_uring_setup: 425,
      pivot_root: 155,
    };
    for (const [name, number] of Object.entries({ ...refused, ...more })) assert.equal(say(number), 'errno 1', name);
  });
  it('knows nothing newer, no other machine and no x32', () => {
    assert.equal(say(470), 'errno 38');
    assert.equal(say(0xffffffff), 'errno 38');
    assert.equal(say(0x40000001), 'errno 38');
    assert.equal(verdict(filter, ARM64, 0), 'errno 38');
  });
  it('looks at arguments', () => {
    assert.equal(say(56, 0x01200011), ALLOW);
    for (const flag of [0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000])
      assert.equal(say(56, flag | 17), 'errno 1');
    assert.equal(say(435), 'errno 38');
    for (const family of [1, 2, 10, 16, 37, 39, 44]) assert.equal(say(41, family), ALLOW);
    for (const family of [38, 40]) assert.equal(say(41, family), 'errno 1');
    for (const personality of [0, 8, 0x20000, 0x20008, 0xffffffff]) assert.equal(say(135, personality), ALLOW);
    assert.equal(say(135, 0x40000), 'errno 1');
    assert.equal(verdict(filter, IA32, 120, 0x20000), 'errno 1');
    assert.equal(verdict(filter, IA32, 102), ALLOW);
  });
  it('is not there for machines that are not known', () => {
    assert.equal(seccompFilter('s390x'), undefined);
    assert.equal(seccompFilter('constructor'), undefined);
  });
  it('says the same as the profile, as far as the headers of this machine tell', function () {
    const headers = { x64: [X64, 'unistd_64.h'], ia32: [IA32, 'unistd_32.h'] } as const;
    for (const [audit, header] of Object.values(headers)) {
      const file = `/usr/include/x86_64-linux-gnu/asm/${header}`;
      if (!fs.existsSync(file)) this.skip();
      const allowed = new Set(seccompProfile('x64').syscalls[0]?.names);
      const decided = new Set(['clone', 'clone3', 'socket', 'personality']);
      for (const [, name = '', number] of fs.readFileSync(file, 'utf8').matchAll(/#define __NR_(\w+)\s+(\d+)/g)) {
        if (decided.has(name)) continue;
        assert.equal(
          verdict(filter, audit, Number(number)),
          allowed.has(name) ? ALLOW : 'errno 1',
          `${header} ${name}`,
        );
      }
    }
  });
});
