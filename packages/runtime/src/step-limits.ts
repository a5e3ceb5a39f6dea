import fs from 'node:fs';
import path from 'node:path';

import { joinCgroups } from './cgroup-join.js';
import { cgroupFiles, placeFor, type CgroupFiles, type CgroupPlace, type Controller } from './cgroup-places.js';
import { removeCgroup, removeLeftCgroups } from './cgroup-removal.js';
import { canBoundProcesses, processBound } from './process-bound.js';
import type { Limits } from './types.js';

/** The cgroups of one step, or what stands in for them. */
export interface StepCgroups {
  /**
   * The beginning of a command that joins them and then becomes the program that follows; empty where there is nothing to join. Nothing
   * but that program may come behind it: it may have another user namespace, without rights over what was made before.
   */
  readonly launcher: readonly string[];
  /** The limits that cannot be kept to on this machine. */
  readonly missing: readonly (keyof Limits)[];
  /** Which limit the step has met, as far as the kernel tells. */
  exceeded(): 'memory' | 'pids' | undefined;
  /** Takes them away again. To be called when all processes have ended. */
  remove(): void;
}

export interface StepLimiter {
  /** Makes the cgroups for a step's LIMITS. ONMADE is told each before it is used; where it throws, there is none. */
  create(limits: Limits, onMade?: (made: CgroupPlace) => void): StepCgroups;
}

const PREFIX = 'strake-step-';
const PERIOD = 100_000;
/** Processes and threads of the OCI runtime itself, which share the step's cgroup. */
const RUNTIME_TASKS = 16;

/**
 * The folder of this machine's cgroups, to be opened before anything covers it (see `coverCgroups`). A descriptor, or undefined
 * where there is none.
 */
export function openCgroups(): number | undefined {
  try {
    return fs.openSync('/sys/fs/cgroup', fs.constants.O_RDONLY | fs.constants.O_DIRECTORY);
  } catch {
    return undefined;
  }
}

/**
 * Limits steps by cgroups of version 1 or 2, hybrid or delegated: whatever this process may make. FOLDER is what
 * {@link openCgroups} gave, or another view of such a folder; NAME tells this builder's cgroups from others'.
 */
export function createStepLimiter(options: {
  readonly folder: number | string | undefined;
  readonly name: string;
  /** Default: this process's own. */
  readonly proc?: Pick<CgroupFiles, 'cgroup' | 'mountinfo'> | undefined;
  /** Whether processes can be bounded without a cgroup. Default: {@link canBoundProcesses}. */
  readonly canBound?: (() => boolean) | undefined;
}): StepLimiter {
  let count = 0;
  let bounds: boolean | undefined;
  const places = new Map<Controller, CgroupPlace | undefined>();
  const find = (controller: Controller): CgroupPlace | undefined => {
    if (options.folder === undefined) return undefined;
    if (!places.has(controller)) {
      const place = placeFor(controller, { ...cgroupFiles(options.folder), ...options.proc });
      if (place) removeLeftCgroups(place.folder, PREFIX);
      places.set(controller, place);
    }
    return places.get(controller);
  };
  return {
    create(limits, onMade) {
      const name = `${PREFIX}${options.name}-${++count}`;
      const folders = new Set<string>();
      const missing: (keyof Limits)[] = [];
      const watched = new Map<'memory' | 'pids', () => boolean>();
      const limit = (key: keyof Limits, controller: Controller, files: (place: CgroupPlace) => Settings): void => {
        const place = find(controller);
        if (!place) return void missing.push(key);
        const folder = path.join(place.folder, name);
        try {
          if (!folders.has(folder)) {
            make({ version: place.version, folder }, onMade);
            folders.add(folder);
          }
          for (const [file, value, optional] of files(place)) set(path.join(folder, file), value, optional);
        } catch {
          return void missing.push(key);
        }
        if (controller === 'memory') {
          const [file, counter] =
            place.version === 1
              ? (['memory.oom_control', 'oom_kill'] as const)
              : (['memory.events', 'oom_kill'] as const);
          watched.set('memory', () => counted(path.join(folder, file), counter));
        }
        if (controller === 'pids') watched.set('pids', () => counted(path.join(folder, 'pids.events'), 'max'));
      };
      const { memoryBytes, cpus, pids } = limits;
      if (memoryBytes !== undefined)
        limit('memoryBytes', 'memory', ({ version }) => memorySettings(version, memoryBytes));
      if (cpus !== undefined) limit('cpus', 'cpu', ({ version }) => cpuSettings(version, cpus));
      if (pids !== undefined) limit('pids', 'pids', () => [['pids.max', String(pids + RUNTIME_TASKS)]]);
      const bounded = missing.includes('pids') && (bounds ??= (options.canBound ?? canBoundProcesses)());
      return {
        launcher: [
          ...joinCgroups(folders),
          ...(bounded && pids !== undefined ? processBound(pids + RUNTIME_TASKS) : []),
        ],
        missing: bounded ? missing.filter((key) => key !== 'pids') : missing,
        exceeded: () => [...watched].find(([, met]) => met())?.[0],
        remove: () => {
          for (const folder of folders) removeCgroup(folder);
        },
      };
    },
  };
}

function make(made: CgroupPlace, onMade?: (made: CgroupPlace) => void): void {
  fs.mkdirSync(made.folder, { recursive: true });
  try {
    onMade?.(made);
  } catch (error) {
    removeCgroup(made.folder);
    throw error;
  }
}

/** File, value, and whether a kernel may lack the file. */
type Settings = readonly (readonly [file: string, value: string, optional?: boolean])[];

/** Swap counts as memory, so that a limit is one. */
function memorySettings(version: 1 | 2, bytes: number): Settings {
  return version === 1
    ? [
        ['memory.limit_in_bytes', String(bytes)],
        ['memory.memsw.limit_in_bytes', String(bytes), true],
      ]
    : [
        ['memory.max', String(bytes)],
        ['memory.swap.max', '0', true],
      ];
}

function cpuSettings(version: 1 | 2, cpus: number): Settings {
  const quota = String(Math.max(1000, Math.round(cpus * PERIOD)));
  return version === 1
    ? [
        ['cpu.cfs_period_us', String(PERIOD)],
        ['cpu.cfs_quota_us', quota],
      ]
    : [['cpu.max', `${quota} ${PERIOD}`]];
}

function set(file: string, value: string, optional = false): void {
  if (optional && !fs.existsSync(file)) return;
  fs.writeFileSync(file, value);
}

function counted(file: string, counter: string): boolean {
  try {
    return new RegExp(`^${counter} [1-9]`, 'm').test(fs.readFileSync(file, 'utf8'));
  } catch {
    return false;
  }
}
