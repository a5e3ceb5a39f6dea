import fs from 'node:fs';
import path from 'node:path';

import { errnoOf, isStrakeError, makeFolderNow } from '@strake/core';
import { cloneMount, closeDescriptor, makeMount, MountAttribute, unmount, UnmountFlag } from '@strake/sys';

import { mountDevices, nodeAttribute } from './device-folder.js';
import { mountFailed, rootInvalid, workdirInvalid } from './errors.js';
import { attachAt, bindMount, memoryMount, mountTree } from './mount-points.js';
import { hostsFile, readHostResolvConf, resolvConf } from './network-files.js';
import { removeTree } from './remove-tree.js';
import { walkRoot, type Stub } from './root-walk.js';
import { removeStubs } from './stubs.js';
import { mountOnto, mountUserMounts } from './user-mounts.js';
import type { ContainerSpec } from './types.js';

/** Everything that a container sees but for what only its own namespaces can give: /proc, /dev/mqueue, and /sys where `sysfs` is false. */
export interface RootAssembly {
  /** A folder in memory, for files about the container; gone with it. */
  readonly folder: string;
  /** Where the root is mounted. */
  readonly root: string;
  /** The working directory without links. */
  readonly cwd: string;
  /** Whether /sys is mounted already. */
  readonly sysfs: boolean;
  /** Unmounts all and removes what was made for it. To be called once, after the container's last process is gone. */
  dispose(): void;
}

/** Size of the memory for the container's files, secrets among them. */
const MEMORY = 256 << 20;

/**
 * Mounts a container's root with /dev, /etc/hosts, /etc/resolv.conf and the mounts of its step, in this process's mount
 * namespace, below a new folder of SCRATCH. Paths of the image are walked inside the root, never by the kernel over its links.
 * @throws StrakeError `MOUNT_FAILED`, `MOUNT_TARGET_INVALID`, `ROOT_INVALID`, `WORKDIR_INVALID`; nothing is left mounted then
 */
export function assembleRoot(spec: ContainerSpec, scratch: string): RootAssembly {
  makeFolderNow(scratch);
  const own = fs.mkdtempSync(path.join(scratch, 'run-'));
  const folder = path.join(own, 'm');
  const discarded = path.join(own, 'w');
  const stubs: Stub[] = [];
  let plain: number | undefined;
  const dispose = (): void => {
    try {
      unmountAll(folder);
      if (plain !== undefined) removeStubs(plain, stubs);
    } finally {
      if (plain !== undefined) closeDescriptor(plain);
      // Only `w` holds files; `m` is an empty folder once nothing is mounted there, and must never be removed with content.
      removeTree(discarded);
      fs.rmdirSync(folder);
      fs.rmdirSync(own);
    }
  };
  fs.mkdirSync(folder);
  fs.mkdirSync(discarded);
  try {
    const root = path.join(folder, 'root');
    attempt('memory for a container', () =>
      attachAt(memoryMount('0700', MEMORY, MountAttribute.nosuid | MountAttribute.nodev), folder),
    );
    for (const name of ['root', 'empty', 'files']) fs.mkdirSync(path.join(folder, name));
    mountTree(spec.root, root, path.join(folder, 'empty'), nodeAttribute(spec));
    plain = attempt('the root', () => cloneMount(root));
    const created = (stub: Stub): void => void stubs.push(stub);
    const rootFd = fs.openSync(root, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY);
    try {
      for (const name of ['proc', 'sys', 'dev']) systemFolder(rootFd, name);
      mountDevices(path.join(root, 'dev'), spec);
      const sysfs = spec.network === 'host';
      if (sysfs) attempt('/sys', () => attachAt(systemFiles(spec), path.join(root, 'sys')));
      mountNetworkFiles(spec, rootFd, path.join(folder, 'files'), created);
      mountUserMounts(spec, { root: rootFd, folder, discarded, created, nodev: nodeAttribute(spec) });
      return { folder, root, cwd: workingDirectory(rootFd, spec.cwd), sysfs, dispose };
    } finally {
      fs.closeSync(rootFd);
    }
  } catch (error) {
    dispose();
    throw error;
  }
}

function attempt<T>(what: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw isStrakeError(error) ? error : mountFailed(what, error);
  }
}

function unmountAll(folder: string): void {
  try {
    unmount(folder, UnmountFlag.detach | UnmountFlag.nofollow);
  } catch (error) {
    // EINVAL: it was not mounted yet.
    if (errnoOf(error) !== 'EINVAL') throw mountFailed(`${folder} away`, error);
  }
}

/**
 * Sees to it that NAME, a folder directly in the root, is there and no link: OCI runtimes follow it with the host's eyes. One that is
 * made stays: BuildKit's runtime leaves /proc, /sys and /dev behind in an image that has none, and programs miss them there.
 */
export function systemFolder(root: number, name: string): void {
  const facts = fs.lstatSync(`/proc/self/fd/${root}/${name}`, { throwIfNoEntry: false });
  if (facts && !facts.isDirectory()) throw rootInvalid(`/${name}`, facts.isSymbolicLink() ? 'a link' : 'a file');
  if (!facts) closeDescriptor(walkRoot(root, name, { create: 'folder' }).fd);
}

/** A fresh sysfs, or where a user namespace may not have one for a network it does not own, this machine's as it is. */
function systemFiles(spec: ContainerSpec): number {
  const { readonly, nosuid, nodev, noexec } = MountAttribute;
  const attributes = nosuid | nodev | noexec | (spec.security === 'insecure' ? 0 : readonly);
  try {
    return makeMount('sysfs', [], attributes, 'sysfs');
  } catch (error) {
    if (errnoOf(error) !== 'EPERM') throw error;
    return bindMount('/sys', attributes, true);
  }
}

function mountNetworkFiles(spec: ContainerSpec, root: number, files: string, created: (stub: Stub) => void): void {
  const { readonly, nosuid, nodev, noexec } = MountAttribute;
  const host = attempt('/etc/resolv.conf', readHostResolvConf);
  for (const [name, text] of [
    ['hosts', hostsFile(spec)],
    ['resolv.conf', resolvConf(host, spec)],
  ] as const) {
    const file = path.join(files, name);
    fs.writeFileSync(file, text);
    fs.chmodSync(file, 0o644);
    const target = `/etc/${name}`;
    mountOnto(
      root,
      target,
      'file',
      created,
      attempt(target, () => bindMount(file, readonly | nosuid | nodev | noexec)),
    );
  }
}

/** The step's working directory without links, made where it is missing (as OCI runtimes do). @throws StrakeError `WORKDIR_INVALID` */
export function workingDirectory(root: number, cwd: string): string {
  try {
    const place = walkRoot(root, cwd, { create: 'folder' });
    closeDescriptor(place.fd);
    if (place.kind !== 'folder') throw workdirInvalid(cwd, 'it is no folder');
    if (place.path === '/proc' || place.path.startsWith('/proc/')) throw workdirInvalid(cwd, 'it lies in /proc');
    return place.path;
  } catch (error) {
    if (isStrakeError(error)) throw error;
    const why: Readonly<Record<string, string | undefined>> = {
      ENOTDIR: 'a part of it is no folder',
      ELOOP: 'its links lead in a circle',
      ENAMETOOLONG: 'its name is too long',
    };
    const code = errnoOf(error) ?? String(error);
    throw workdirInvalid(cwd, why[code] ?? code, error);
  }
}
