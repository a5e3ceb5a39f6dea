import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

import { isStrakeError, makeFolderNow } from '@strake/core';
import { cloneFile, setXattr, SystemCallError } from '@strake/sys';

import type { CgroupFiles } from './cgroup-places.js';
import { createStepLimiter } from './step-limits.js';
import { findUplink } from './step-network.js';
import { inUserNamespace } from './user-namespace.js';
import type { Capability } from './types.js';

export interface PlaceOptions {
  /** A folder on the file system of the store. Made where it is missing. */
  readonly scratch: string;
  /** As of `createStepLimiter`. */
  readonly cgroups: number | string | undefined;
  readonly proc?: CgroupFiles | undefined;
  /** Whether this process has namespaces of its own. */
  readonly namespaces: boolean;
  /** Whether a `DeviceGuard` holds here. */
  readonly devices: boolean;
}

/**
 * Tries what steps are given besides a container: limits, networks of their own, and what the file system of the store keeps. Must
 * be called where containers are to be run.
 */
export function probePlace(options: PlaceOptions): readonly Capability[] {
  const closed = probeClosedNetwork();
  return [
    probeLimits(options),
    probeDevices(options.devices),
    closed,
    probePrivateNetwork(options, closed),
    ...probeFiles(options.scratch),
  ];
}

function probeLimits({ cgroups: folder, proc }: PlaceOptions): Capability {
  const flags = { memoryBytes: '--memory', cpus: '--cpus', pids: '--pids-limit' } as const;
  const cgroups = createStepLimiter({ folder, name: `probe-${process.pid}`, proc }).create({
    ...{ memoryBytes: 1 << 30, cpus: 1, pids: 1000 },
  });
  cgroups.remove();
  const { missing } = cgroups;
  if (missing.length === 0)
    return { name: 'limits', available: true, detail: 'a cgroup with --memory, --cpus and --pids-limit was made' };
  const names = missing.map((limit) => flags[limit]).join(', ');
  return {
    name: 'limits',
    available: false,
    detail: `${names}: no cgroup could be made; steps run without these limits, and a warning says so`,
    hint:
      'systemd-run --user --scope -p Delegate=yes strake build ... (as root: without --user); in a container: limit the ' +
      'container itself, docker run --memory --cpus --pids-limit.',
  };
}

function probeDevices(guarded: boolean): Capability {
  const name = 'device nodes';
  if (guarded)
    return {
      name,
      available: true,
      detail: 'a cgroup keeps steps from the machine: nodes of null, zero, tty and the like work',
    };
  return inUserNamespace()
    ? {
        name,
        available: false,
        detail:
          'in a user namespace none can be made: mknod of a device fails, and images do not get those of their layers',
        hint: 'Only as root: sudo strake build ...',
      }
    : {
        name,
        available: false,
        detail:
          'no cgroup could be made that keeps steps from the disks of the machine: nodes can be made, but not opened',
        hint: 'In a container: docker run --privileged, or mount /sys/fs/cgroup so that it can be written to.',
      };
}

function probeClosedNetwork(): Capability {
  const name = 'network=none';
  const { status, stderr, error } = spawnSync('unshare', ['--net', 'true'], { encoding: 'utf8' });
  if (status === 0) return { name, available: true, detail: 'a network namespace was made' };
  const why = error ? `unshare: ${error.message}` : stderr.trim().replace(/\s+/g, ' ');
  return {
    name,
    available: false,
    detail: `${why}: such steps are an error`,
    hint: 'Allow namespaces: docker run --security-opt seccomp=unconfined --cap-add SYS_ADMIN, or hostUsers: false in Kubernetes.',
  };
}

/** Own namespaces with an uplink (`--network private`), or with a proxy alone (`--allow-host`), which needs no program. */
function probePrivateNetwork({ namespaces }: PlaceOptions, closed: Capability): Capability {
  const name = 'network private';
  if (!namespaces || !closed.available) {
    const detail = 'it needs namespaces, as --allow-host does: both are an error here';
    return { name, available: false, detail, hint: closed.hint ?? 'Leave --isolation chroot away.' };
  }
  try {
    return { name, available: true, detail: `${findUplink().program} is there` };
  } catch (error) {
    if (!isStrakeError(error)) throw error;
    const detail = 'slirp4netns is not installed: --network private is an error; --allow-host works without';
    return { name, available: false, detail, hint: error.hint };
  }
}

/** What the file system of the store keeps of a file, and whether copies share their blocks. */
function probeFiles(scratch: string): readonly Capability[] {
  makeFolderNow(scratch);
  const folder = fs.mkdtempSync(path.join(scratch, 'files-'));
  const [from, to] = [path.join(folder, 'from'), path.join(folder, 'to')];
  try {
    fs.writeFileSync(from, 'x');
    const kept = ['user.strake.probe', 'trusted.strake.probe'].find((attribute) => keeps(from, attribute));
    const [source, target] = [fs.openSync(from, 'r'), fs.openSync(to, 'w')];
    let shared: boolean;
    try {
      shared = cloneFile(source, target);
    } finally {
      fs.closeSync(source);
      fs.closeSync(target);
    }
    const move = 'keep the store elsewhere: --root FOLDER, or STRAKE_ROOT; in a container, on a volume.';
    return [
      kept === undefined
        ? {
            name: 'attributes',
            available: false,
            detail:
              'the file system of the store keeps no extended attributes: those that steps set, and owners that a user ' +
              'namespace has no id for, are lost; steps have whole copies instead of overlays',
            hint: `On ext4, xfs, btrfs: ${move}`,
          }
        : { name: 'attributes', available: true, detail: `the file system of the store keeps ${kept.split('.')[0]}.*` },
      shared
        ? { name: 'reflinks', available: true, detail: 'copies on the file system of the store share their blocks' }
        : {
            name: 'reflinks',
            available: false,
            detail: 'copies on the file system of the store take time and space: matters where there are no overlays',
            hint: `On btrfs, or xfs with reflink=1: ${move}`,
          },
    ];
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

function keeps(file: string, attribute: string): boolean {
  try {
    setXattr(file, attribute, Buffer.from('y'));
    return true;
  } catch (error) {
    if (error instanceof SystemCallError) return false;
    throw error;
  }
}
