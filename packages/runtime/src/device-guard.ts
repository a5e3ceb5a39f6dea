import fs from 'node:fs';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';

import { errnoOf } from '@strake/core';
import { closeDescriptor, FileType, filterDevices, makeNode, type AllowedDevice } from '@strake/sys';

import { cgroupFiles, placeForDevices, type CgroupFiles, type CgroupPlace } from './cgroup-places.js';
import { foldersIn, removeCgroup, removeLeftCgroups } from './cgroup-removal.js';
import { openInsecureCgroups, type InsecureCgroups } from './insecure-cgroups.js';
import { memoryMount } from './mount-points.js';
import { inUserNamespace } from './user-namespace.js';

/**
 * Keeps this process, and all that it starts, from the devices of the machine but those that do no harm, as Docker does it: so
 * device nodes of images, and those that steps make, may work in steps.
 */
export interface DeviceGuard {
  /** Resolves to whether it holds, which was tried. Nothing that is not trusted may be started before. */
  readonly holds: Promise<boolean>;
  /** Cgroups for an insecure step, outside of it; only where it holds. */
  leave(): InsecureCgroups | undefined;
  /** Makes it hold in a cgroup, made at PLACE, that a child will be moved to. @throws SystemCallError */
  extend(made: CgroupPlace): void;
}

const PREFIX = 'strake-devices-';

/**
 * What OCI runtimes let containers have: null, zero, full, random, urandom; tty and ptmx; terminals; tun, which slirp4netns needs. Not
 * the console (5:1), though containerd lets it through: it is the machine's.
 */
const ALLOWED: readonly AllowedDevice[] = [
  ...[3, 5, 7, 8, 9].map((minor) => ({ major: 1, minor })),
  ...[0, 2].map((minor) => ({ major: 5, minor })),
  { major: 136 },
  { major: 10, minor: 200 },
];

/**
 * Moves this process into a cgroup of its own for that, where it is the machine's root and may; in a user namespace no device nodes can
 * be made. That a container has a guard is not enough: it may have been given disks. FOLDER and NAME: as of `createStepLimiter`.
 */
export function openDeviceGuard(options: {
  readonly folder: number | undefined;
  readonly name: string;
  /** Default: as they are now. */
  readonly files?: CgroupFiles | undefined;
}): DeviceGuard {
  let place: ReturnType<typeof placeForDevices>;
  const move = async (): Promise<boolean> => {
    if (inUserNamespace() || options.folder === undefined) return false;
    place = placeForDevices(options.files ?? cgroupFiles(options.folder));
    if (!place) return false;
    removeLeftCgroups(place.folder, PREFIX);
    const folder = path.join(place.folder, `${PREFIX}${options.name}-${process.hrtime.bigint().toString(36)}`);
    fs.mkdirSync(folder);
    try {
      guard({ version: place.version, folder });
      await enter({ version: place.version, folder });
    } catch (error) {
      fs.rmdirSync(folder);
      throw error;
    }
    return holdsHere();
  };
  return {
    holds: move().catch((error: unknown) => {
      if (errnoOf(error) === undefined) throw error;
      return false;
    }),
    leave: () => {
      const { folder, name, files } = options;
      return place && folder !== undefined
        ? openInsecureCgroups({ folder, name, files, own: place.folder })
        : undefined;
    },
    extend: (made) => {
      if (made.version === 2 && place?.version === 2) guard(made);
    },
  };
}

/** Removes the cgroups of the guards that were opened with NAME, from outside and when nothing is left in them. */
export function removeDeviceGuards(name: string): void {
  try {
    const place = placeForDevices(cgroupFiles('/sys/fs/cgroup'));
    const guards = place ? foldersIn(place.folder) : [];
    guards.filter((folder) => path.basename(folder).startsWith(`${PREFIX}${name}-`)).forEach(removeCgroup);
  } catch (error) {
    // The next builder's removes them.
    if (errnoOf(error) === undefined) throw error;
  }
}

/**
 * With version 1 this thread alone, from which all children come: a thread that moves itself waits for nobody, a process waits for the
 * whole machine, some 15 milliseconds. Version 2 knows processes only; that waits on another thread.
 */
async function enter({ version, folder }: CgroupPlace): Promise<void> {
  if (version === 1) fs.writeFileSync(path.join(folder, 'tasks'), '0');
  else await writeFile(path.join(folder, 'cgroup.procs'), '0');
}

function guard({ version, folder }: CgroupPlace): void {
  if (version === 2) {
    const fd = fs.openSync(folder, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY);
    try {
      filterDevices(fd, ALLOWED);
    } finally {
      fs.closeSync(fd);
    }
    return;
  }
  fs.writeFileSync(path.join(folder, 'devices.deny'), 'a');
  const rules = ALLOWED.map(({ major, minor }) => `c ${major}:${minor ?? '*'} rwm`);
  for (const rule of ['c *:* m', 'b *:* m', ...rules]) {
    try {
      fs.writeFileSync(path.join(folder, 'devices.allow'), rule);
    } catch (error) {
      // What this process may not use itself.
      if (errnoOf(error) !== 'EPERM') throw error;
    }
  }
}

/** {@link devicesAreGuarded}, where nodes work for certain; false where that cannot be tried. */
function holdsHere(): boolean {
  let memory: number | undefined;
  try {
    memory = memoryMount('0700', 1 << 16, 0);
    return devicesAreGuarded(`/proc/self/fd/${memory}`);
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    return false;
  } finally {
    if (memory !== undefined) closeDescriptor(memory);
  }
}

/**
 * Whether a device cgroup keeps processes here from devices that it does not list, as containers have it: where none does, a step
 * that may make device nodes has the machine's disks. FOLDER: a folder where nodes can be made.
 */
export function devicesAreGuarded(folder: string): boolean {
  const at = path.join(folder, 'guarded');
  try {
    // No driver has this number: without a guard opening it gives ENXIO.
    makeNode(at, FileType.char | 0o600, 1, 12);
    fs.closeSync(fs.openSync(at, 'r'));
    return false;
  } catch (error) {
    return errnoOf(error) === 'EPERM';
  } finally {
    fs.rmSync(at, { force: true });
  }
}
