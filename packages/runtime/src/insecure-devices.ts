import fs from 'node:fs';
import path from 'node:path';

import { errnoOf } from '@strake/core';
import { FileType, makeNode } from '@strake/sys';

import { inUserNamespace } from './user-namespace.js';

interface Device {
  /** Below /dev. */
  readonly name: string;
  readonly type: number;
  readonly major: number;
  readonly minor: number;
}

const char = (name: string, major: number, minor: number): Device => ({ name, type: FileType.char, major, minor });

/** What BuildKit gives to insecure steps beside all rights (`util/entitlements/security`), for file systems in files and programs, machines, logs. */
const DEVICES: readonly Device[] = [
  ...[char('kmsg', 1, 11), char('cuse', 10, 203), char('fuse', 10, 229), char('kvm', 10, 232)],
  ...[char('net/tun', 10, 200), char('loop-control', 10, 237)],
];
/** Loop devices beyond the first that is free. */
const MORE_LOOPS = 7;
const MOST_LOOPS = 256;

/** Makes in FOLDER, a /dev, the device nodes that an insecure step has more than others. In a user namespace there can be none. */
export function makeInsecureDevices(folder: string): void {
  if (inUserNamespace()) return;
  const loops = Array.from({ length: Math.min(freeLoop() + MORE_LOOPS, MOST_LOOPS) + 1 }, (_, minor) => {
    return { name: `loop${minor}`, type: FileType.block, major: 7, minor };
  });
  for (const { name, type, major, minor } of [...DEVICES, ...loops]) {
    const at = path.join(folder, name);
    fs.mkdirSync(path.dirname(at), { recursive: true, mode: 0o755 });
    try {
      makeNode(at, type | 0o666, major, minor);
    } catch (error) {
      // Not even root may in most containers.
      if (errnoOf(error) !== 'EPERM') throw error;
      return;
    }
    fs.chmodSync(at, 0o666);
  }
}

/** The number of the first loop device that nothing is attached to, whether the kernel has made it yet or not. */
function freeLoop(): number {
  let free = 0;
  while (free < MOST_LOOPS && fs.existsSync(`/sys/block/loop${free}/loop/backing_file`)) free++;
  return free;
}
