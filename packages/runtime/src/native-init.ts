import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

import { errnoOf } from '@strake/core';
import {
  adoptOrphans,
  changeRoot,
  enableLoopback,
  execute,
  filterSystemCalls,
  forbidNewPrivileges,
  leaveSession,
  limitCapabilities,
  makeMount,
  mount,
  MountAttribute,
  MountFlag,
  NamespaceFlag,
  pivotRoot,
  prepareForExec,
  setCapabilities,
  setHostname,
  setIdentity,
  setIdentityWithCapabilities,
  setParentDeathSignal,
  setResourceLimit,
  unmount,
  UnmountFlag,
  unshare,
} from '@strake/sys';

import { BECOMING } from './init-answer.js';
import { CAPABILITIES, capabilitySet } from './capabilities.js';
import { mountCgroups } from './cgroup-mounts.js';
import { attachAt, bindMount, memoryMount } from './mount-points.js';
import { DEFAULT_PATH } from './program.js';
import { seccompFilter } from './seccomp-filter.js';

/** What the native executor tells the first process of a container. Numbers of 64 bits are texts. */
export interface NativeInitSpec {
  /** `chroot`: nothing but another root; no namespaces, no mounts. */
  readonly confinement: 'namespaces' | 'chroot';
  /** Where the assembled root is mounted. */
  readonly root: string;
  readonly cwd: string;
  readonly args: readonly string[];
  readonly env: readonly string[];
  readonly user: { readonly uid: number; readonly gid: number; readonly additionalGids: readonly number[] };
  readonly hostname: string;
  readonly newNetwork: boolean;
  readonly mountSysfs: boolean;
  readonly mountCgroups: boolean;
  readonly sandbox: boolean;
  readonly maskedPaths: readonly string[];
  readonly readonlyPaths: readonly string[];
  /** A bit set in hexadecimal digits. */
  readonly capabilities: string;
  /** The text of the /proc/self/status of the process that starts it, and its number. */
  readonly status: string;
  readonly parent: number;
  readonly limits: readonly { readonly type: string; readonly soft: string; readonly hard: string }[];
}

/** What it answers where it fails. Nothing is answered by one that became the step's program. */
export interface NativeInitFailure {
  /** `program`: the step's program cannot be run. `setup`: anything before. */
  readonly kind: 'program' | 'setup';
  readonly message: string;
}

const SPEC_FD = 3;
const FAILURE_FD = 4;

/**
 * Is the first process of a container of the native executor: waits for its specification, makes the namespaces that are left
 * to make, mounts what belongs to them, moves into the root, gives up what the step may not have, and becomes the step's program.
 * No program but that one is run, and nothing of the image is read.
 */
export function runNativeInit(): void {
  let kind: NativeInitFailure['kind'] = 'setup';
  leaveSignals();
  try {
    const spec = JSON.parse(fs.readFileSync(SPEC_FD, 'utf8')) as NativeInitSpec;
    if (spec.confinement === 'chroot') enterChroot(spec);
    else {
      enterNamespaces(spec);
      mountSystem(spec);
      enterRoot(spec);
    }
    giveUpRights(spec);
    if (spec.confinement === 'chroot') followParent(spec.parent);
    process.umask(0o022);
    kind = 'program';
    fs.writeSync(FAILURE_FD, BECOMING);
    become(spec);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    fs.writeSync(FAILURE_FD, JSON.stringify({ kind, message } satisfies NativeInitFailure));
  }
  process.exit(1);
}

/**
 * Takes back the handlers that Node has: in a first process they would swallow a signal that is to stop the container before it has
 * become its program. Without one, whoever sends it sees that it would be lost (see `signalContainer`).
 */
function leaveSignals(): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGUSR1'] as const) {
    process.on(signal, () => undefined);
    process.removeAllListeners(signal);
  }
}

function enterNamespaces(spec: NativeInitSpec): void {
  const { mount: mounts, uts, ipc, cgroup, network } = NamespaceFlag;
  unshare(mounts | uts | ipc | cgroup | (spec.newNetwork ? network : 0));
  mount('none', '/', null, MountFlag.rec | MountFlag.private, null);
  setHostname(spec.hostname);
  if (spec.newNetwork) enableLoopback();
}

function mountSystem(spec: NativeInitSpec): void {
  const { readonly, nosuid, nodev, noexec } = MountAttribute;
  const quiet = nosuid | nodev | noexec;
  const inside = (name: string): string => path.join(spec.root, name);
  attachAt(makeMount('proc', [], quiet, 'proc'), inside('proc'));
  attachAt(makeMount('mqueue', [], quiet, 'mqueue'), inside('dev/mqueue'));
  if (spec.mountSysfs) attachAt(makeMount('sysfs', [], quiet | (spec.sandbox ? readonly : 0), 'sysfs'), inside('sys'));
  if (spec.mountCgroups) mountCgroups(inside('sys/fs/cgroup'));
  for (const name of spec.readonlyPaths) {
    ifThere(inside(name), (file) => attachAt(bindMount(file, quiet | readonly, true), file));
  }
  for (const name of spec.maskedPaths) {
    ifThere(inside(name), (file, isFolder) => {
      const cover = isFolder
        ? memoryMount('0755', 0, quiet | readonly)
        : bindMount(inside('dev/null'), nosuid | noexec);
      attachAt(cover, file);
    });
  }
}

function ifThere(file: string, then: (file: string, isFolder: boolean) => void): void {
  const facts = fs.lstatSync(file, { throwIfNoEntry: false });
  if (facts && !facts.isSymbolicLink()) then(file, facts.isDirectory());
}

function giveUpRights(spec: NativeInitSpec): void {
  for (const { type, soft, hard } of spec.limits) setResourceLimit(type, BigInt(soft), BigInt(hard));
  const own = capabilitySet(spec.status, 'CapEff');
  const has = (name: string): boolean => (own & (1n << BigInt(CAPABILITIES.indexOf(name)))) !== 0n;
  // Filters need CAP_SYS_ADMIN, and this one lets through all that follows. Without that right the filter of the container around
  // has to do: to set one all the same would take sudo and its like from the step.
  const filter = spec.sandbox && has('CAP_SYS_ADMIN') ? seccompFilter() : undefined;
  if (filter) filterSystemCalls(filter);
  const capabilities = BigInt(`0x${spec.capabilities}`);
  if (has('CAP_SETPCAP')) limitCapabilities(capabilities);
  else forbidNewPrivileges();
  const { uid, gid, additionalGids } = spec.user;
  // As in BuildKit an insecure step has its rights whoever it is.
  if (!spec.sandbox) return setIdentityWithCapabilities(capabilities, uid, gid, additionalGids);
  setIdentity(uid, gid, additionalGids);
  setCapabilities(uid === 0 ? capabilities : 0n);
}

/** Needs CAP_SYS_CHROOT, and CAP_SYS_ADMIN for a network of its own. Nothing of the old root stays open. */
function enterChroot(spec: NativeInitSpec): void {
  if (spec.newNetwork) {
    unshare(NamespaceFlag.network);
    enableLoopback();
  }
  leaveSession();
  process.chdir(spec.root);
  changeRoot('.');
  process.chdir(spec.cwd);
}

/** Ends with the process that started this one, as what it leaves behind becomes its children: see `chroot/executor.ts`. */
function followParent(parent: number): void {
  adoptOrphans();
  setParentDeathSignal(os.constants.signals.SIGKILL);
  if (process.ppid !== parent) process.exit(1);
}

/** Leaves nothing of the machine's own tree in the mount namespace (pivot_root(2), "pivot_root(".", ".")"). */
function enterRoot(spec: NativeInitSpec): void {
  // A mount that came along from another user namespace cannot become the root; one onto it can.
  mount(spec.root, spec.root, null, MountFlag.bind | MountFlag.rec, null);
  process.chdir(spec.root);
  pivotRoot('.', '.');
  unmount('.', UnmountFlag.detach);
  process.chdir('/');
  process.chdir(spec.cwd);
}

function become(spec: NativeInitSpec): void {
  const [name = ''] = spec.args;
  const searched = spec.env.find((entry) => entry.startsWith('PATH='))?.slice(5) ?? DEFAULT_PATH;
  const files = name.includes('/')
    ? [name]
    : searched.split(':').map((folder) => `${folder === '' ? '.' : folder}/${name}`);
  prepareForExec();
  let why: unknown;
  for (const file of files) {
    try {
      execute(file, spec.args, spec.env);
    } catch (error) {
      const code = errnoOf(error) ?? '';
      if (why === undefined || code === 'EACCES' || !['ENOENT', 'ENOTDIR', 'EACCES'].includes(code)) why = error;
      if (!['ENOENT', 'ENOTDIR', 'EACCES'].includes(code)) break;
    }
  }
  const texts: Readonly<Record<string, string>> = {
    ENOENT: 'no such file or directory',
    EACCES: 'permission denied',
    ENOEXEC: 'exec format error',
    E2BIG: 'argument list too long: command and environment together take more than the kernel allows',
  };
  const code = errnoOf(why) ?? '';
  throw new Error(`exec: ${JSON.stringify(name)}: ${texts[code] ?? code}`);
}
