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

/** A hierarchy of cgroups, and where this process stands in it. */
export interface Hierarchy {
  readonly version: 1 | 2;
  /** Of version 1. */
  readonly controllers: readonly string[];
  /** The folder of this process's own cgroup. */
  readonly own: string;
  /** The folder around it, or the same where nothing around it is seen. */
  readonly around: string;
}

const MOUNT_POINT = '/sys/fs/cgroup';

/** What {@link placeFor} looks at, for this process. FOLDER: as `openCgroups` gave it, or a path. */
export function cgroupFiles(folder: number | string): CgroupFiles {
  return {
    folder: typeof folder === 'number' ? `/proc/${process.pid}/fd/${folder}` : folder,
    cgroup: fs.readFileSync('/proc/self/cgroup', 'utf8'),
    mountinfo: fs.readFileSync('/proc/self/mountinfo', 'utf8'),
  };
}

/**
 * Where a cgroup with CONTROLLER can be made for a child of this process: below its own cgroup with version 1; beside it with
 * version 2, where a cgroup that has processes cannot have limited children (cgroups(7), "no internal processes"). Undefined where
 * this machine has it not or does not let this process.
 */
export function placeFor(controller: Controller, files: CgroupFiles): CgroupPlace | undefined {
  for (const { version, controllers, own, around } of hierarchies(files)) {
    if (version === 1) {
      if (controllers.includes(controller)) return canMake(own) ? { version, folder: own } : undefined;
    } else if (
      has(around, 'cgroup.subtree_control', controller) ||
      (has(around, 'cgroup.controllers', controller) && enabled(around, controller))
    ) {
      if (canMake(around)) return { version, folder: around };
    }
  }
  return undefined;
}

/**
 * Where a cgroup can be made that says which devices its processes may use: this process's own, whose limits stay theirs. It needs
 * no controller, so that with version 2, too, it may have processes beside it.
 */
export function placeForDevices(files: CgroupFiles): CgroupPlace | undefined {
  const all = hierarchies(files);
  const first = all.find(({ version, controllers }) => version === 1 && controllers.includes('devices'));
  const place = first ?? all.find(({ version }) => version === 2);
  return place && canMake(place.own) ? { version: place.version, folder: place.own } : undefined;
}

/** The hierarchies of this machine's cgroups that are seen. */
export function hierarchies(files: CgroupFiles): readonly Hierarchy[] {
  const owners = files.cgroup.trim().split('\n');
  return files.mountinfo.split('\n').flatMap((line): Hierarchy[] => {
    const words = line.split(' ');
    const [root, point] = [words[3] ?? '', words[4] ?? ''];
    if (point !== MOUNT_POINT && !point.startsWith(`${MOUNT_POINT}/`)) return [];
    const [type, , options = ''] = words.slice(words.indexOf('-') + 1);
    const mounted = path.join(files.folder, point.slice(MOUNT_POINT.length));
    if (type === 'cgroup2') {
      const owner = owners.find((one) => one.startsWith('0::'));
      const own = below(root, owner);
      return [
        {
          version: 2,
          controllers: [],
          own: path.resolve(mounted, `.${own}`),
          around: path.resolve(mounted, `.${own === '/' ? own : path.dirname(own)}`),
        },
      ];
    }
    if (type !== 'cgroup') return [];
    const controllers = options.split(',');
    const owner = owners.find((one) =>
      one
        .split(':')[1]
        ?.split(',')
        .some((name) => controllers.includes(name)),
    );
    const own = path.resolve(mounted, `.${below(root, owner)}`);
    return [{ version: 1, controllers, own, around: own }];
  });
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
