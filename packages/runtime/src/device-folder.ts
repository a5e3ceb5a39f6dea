import fs from 'node:fs';

import { errnoOf } from '@strake/core';
import { makeMount, MountAttribute } from '@strake/sys';

import { mountFailed } from './errors.js';
import { makeInsecureDevices } from './insecure-devices.js';
import { attachAt, bindMount, memoryMount } from './mount-points.js';
import type { ContainerSpec } from './types.js';

const DEVICES = ['null', 'zero', 'full', 'random', 'urandom', 'tty'];
const LINKS: readonly (readonly [name: string, target: string])[] = [
  ['fd', '/proc/self/fd'],
  ['stdin', '/proc/self/fd/0'],
  ['stdout', '/proc/self/fd/1'],
  ['stderr', '/proc/self/fd/2'],
  ['ptmx', 'pts/ptmx'],
];
const SIZE = 64 << 20;
const GROUP_TTY = '5';

/** What a mount for a step says of device nodes. */
export function nodeAttribute(spec: Pick<ContainerSpec, 'security' | 'deviceNodes'>): number {
  return spec.security === 'insecure' || spec.deviceNodes === true ? 0 : MountAttribute.nodev;
}

/**
 * Mounts a container's /dev on the folder PATH. Its devices are bind mounts of this machine's, and device nodes made by a step are of
 * no use to it without a guard: the same way for root and in a user namespace.
 * /dev/mqueue is left an empty folder: it belongs to the IPC namespace, which does not exist yet.
 */
export function mountDevices(
  path: string,
  spec: Pick<ContainerSpec, 'shmSize' | 'security' | 'deviceNodes' | 'tty'>,
): void {
  const { nosuid, nodev, noexec } = MountAttribute;
  try {
    attachAt(memoryMount('0755', SIZE, nosuid | nodeAttribute(spec)), path);
    for (const name of DEVICES) {
      fs.closeSync(fs.openSync(`${path}/${name}`, 'wx', 0o666));
      attachAt(bindMount(`/dev/${name}`, nosuid | noexec), `${path}/${name}`);
    }
    if (spec.security === 'insecure') makeInsecureDevices(path);
    // Where a runtime mounts the terminal that it makes.
    if (spec.tty) fs.closeSync(fs.openSync(`${path}/console`, 'wx', 0o600));
    for (const [name, target] of LINKS) fs.symlinkSync(target, `${path}/${name}`);
    for (const name of ['pts', 'shm', 'mqueue']) {
      fs.mkdirSync(`${path}/${name}`);
      fs.chmodSync(`${path}/${name}`, 0o755);
    }
    attachAt(terminals(), `${path}/pts`);
    attachAt(memoryMount('1777', spec.shmSize, nosuid | nodev | noexec), `${path}/shm`);
  } catch (error) {
    throw mountFailed('/dev', error);
  }
}

/** A devpts of its own. In a user namespace of few ids the group tty may not exist; its files are root's then. */
function terminals(): number {
  const common: [string, string | true][] = [
    ['newinstance', true],
    ['ptmxmode', '0666'],
    ['mode', '0620'],
  ];
  const attributes = MountAttribute.nosuid | MountAttribute.noexec;
  try {
    return makeMount('devpts', [...common, ['gid', GROUP_TTY]], attributes, 'devpts');
  } catch (error) {
    if (errnoOf(error) !== 'EINVAL') throw error;
    return makeMount('devpts', common, attributes, 'devpts');
  }
}
