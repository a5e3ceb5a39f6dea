import fs from 'node:fs';
import path from 'node:path';

/** The controllers that limits of steps need. */
export type Controller = 'memory' | 'cpu' | 'pids';

/** Where cgroups for steps can be made. */
export interface CgroupPlace {
  readonly version: 1 | 2;
  /** The folder in which a cgroup is made. */
  readonly folder: string;
}

export interface CgroupFiles {
  /** What is or was mounted at /sys/fs/cgroup: a path through which it is seen. */
  readonly folder: string;
  /** /proc/self/cgroup and /proc/self/mountinfo. */
  readonly cgroup: string;
  readonly mountinfo: string;
}

const MOUNT_POINT = '/sys/fs/cgroup';

/**
 * Where a cgroup with CONTROLLER can be made for a child of this process: below its own cgroup with version 1; beside it with
 * version 2, where a cgroup that has processes cannot have limited children (cgroups(7), "no internal processes"). Undefined where
 * this machine has it not or does not let this process.
 */
export function placeFor(controller: Controller, files: CgroupFiles): CgroupPlace | undefined {
  const owners = files.cgroup.trim().split('\n');
  for (const line of files.mountinfo.split('\n')) {
    const words = line.split(' ');
    const [root, point] = [words[3] ?? '', words[4] ?? ''];
    if (point !== MOUNT_POINT && !point.startsWith(`${MOUNT_POINT}/`)) continue;
    const after = words.slice(words.indexOf('-') + 1);
    const mounted = path.join(files.folder, point.slice(MOUNT_POINT.length));
    if (after[0] === 'cgroup' && (after[2] ?? '').split(',').includes(controller)) {
      const own = owners.find((owner) => owner.split(':')[1]?.split(',').includes(controller));
      const folder = path.join(mounted, below(root, own));
      return canMake(folder) ? { version: 1, folder } : undefined;
    }
    if (after[0] === 'cgroup2') {
      const own = below(
        root,
        owners.find((owner) => owner.startsWith('0::')),
      );
      const folder = path.join(mounted, own === '/' ? own : path.dirname(own));
      if (has(folder, 'cgroup.subtree_control', controller) && canMake(folder)) return { version: 2, folder };
      if (has(folder, 'cgroup.controllers', controller) && enabled(folder, controller) && canMake(folder))
        return { version: 2, folder };
    }
  }
  return undefined;
}

/** The path of a line of /proc/self/cgroup below the ROOT that is mounted: that of a container is mounted as if it were all. */
function below(root: string, line: string | undefined): string {
  const whole = path.posix.normalize(`/${(line ?? '').split(':').slice(2).join(':')}`);
  if (root === '/' || !`${whole}/`.startsWith(`${root}/`)) return whole.startsWith('/..') ? '/' : whole;
  return whole.slice(root.length) || '/';
}

function has(folder: string, file: string, controller: Controller): boolean {
  try {
    return fs.readFileSync(path.join(folder, file), 'utf8').trim().split(' ').includes(controller);
  } catch {
    return false;
  }
}

function enabled(folder: string, controller: Controller): boolean {
  try {
    fs.writeFileSync(path.join(folder, 'cgroup.subtree_control'), `+${controller}`);
    return true;
  } catch {
    return false;
  }
}

function canMake(folder: string): boolean {
  try {
    fs.accessSync(folder, fs.constants.W_OK);
    return true;
  } catch {
    return false;
  }
}
