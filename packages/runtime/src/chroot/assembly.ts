import fs from 'node:fs';
import path from 'node:path';

import { isStrakeError, makeFolderNow } from '@strake/core';
import { closeDescriptor } from '@strake/sys';

import { mountFailed } from '../errors.js';
import { openInside } from '../host-source.js';
import { hostsFile, readHostResolvConf, resolvConf } from '../network-files.js';
import { removeTree } from '../remove-tree.js';
import { systemFolder, workingDirectory } from '../root-assembly.js';
import { sortMounts } from '../user-mounts.js';
import type { ContainerMount, ContainerSpec, RunOptions } from '../types.js';
import { copySource, copyTree } from './copy-tree.js';
import { makeDevices } from './devices.js';
import { Placements } from './placements.js';
import { ReadOnlyWatch, type ReadOnlyChange } from './read-only-watch.js';
import { relaySocket } from './socket-relay.js';
import { writeProc, writeSys } from './system-files.js';

/** A root that is ready for a step, with all that it sees put into it. */
export interface ChrootAssembly {
  /** The working directory without links. */
  readonly cwd: string;
  /** What the step has changed of what would be read-only if it could be mounted. To be called after the last process is gone. */
  readOnlyChanges(): ReadOnlyChange[];
  /** Takes everything away again and removes it. To be called once, after the last process is gone. */
  dispose(): Promise<void>;
}

/** A folder of the machine that is moved into a root for a step. */
export interface Loan {
  readonly from: string;
  readonly to: string;
  readonly inode: number;
}

/**
 * Told what is about to be moved into the root ROOT, and undefined when all is back: so that it can be found if this process
 * does not live to move it back.
 */
export type NoteLoan = (root: string, loan: Loan | undefined) => void;

/**
 * Puts /proc, /sys, /dev, /etc/hosts, /etc/resolv.conf and the mounts of a step into the folder ROOT, as files and folders.
 * Bind mounts are copies, thrown away afterwards; writable folders of the machine (cache mounts) are moved in and back.
 * @throws StrakeError `MOUNT_FAILED`, `MOUNT_TARGET_INVALID`, `ROOT_INVALID`, `WORKDIR_INVALID`; all is as it was then
 */
export async function assembleChroot(
  root: string,
  spec: ContainerSpec,
  scratch: string,
  onOutput: RunOptions['onOutput'],
  noteLoan: NoteLoan,
): Promise<ChrootAssembly> {
  makeFolderNow(scratch);
  const own = fs.mkdtempSync(path.join(scratch, 'run-'));
  // The store's group, where its folders have the setgid bit, is not to be that of what the step sees.
  fs.chownSync(own, process.geteuid?.() ?? 0, process.getegid?.() ?? 0);
  fs.chmodSync(own, 0o700);
  const closers: (() => Promise<void>)[] = [];
  let rootFd: number | undefined;
  let placements: Placements | undefined;
  const watch = new ReadOnlyWatch();
  const dispose = async (): Promise<void> => {
    try {
      for (const close of closers.reverse()) await close();
      placements?.undo();
      noteLoan(root, undefined);
    } finally {
      watch.close();
      if (rootFd !== undefined) fs.closeSync(rootFd);
      removeTree(own);
    }
  };
  try {
    rootFd = fs.openSync(root, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY | fs.constants.O_NOFOLLOW);
    placements = new Placements(rootFd, own);
    const into = placements;
    for (const name of ['proc', 'sys', 'dev']) systemFolder(rootFd, name);
    for (const [name, make] of [
      ['proc', (at: string) => writeProc(at, spec.hostname)],
      ['sys', (at: string) => writeSys(at, spec.network === 'none')],
      [
        'dev',
        (at: string) => {
          const devices = makeDevices(at, spec, (data) => onOutput('stderr', data));
          closers.push(() => devices.close());
        },
      ],
    ] as const) {
      const at = into.scratch();
      attempt(`/${name}`, () => make(at));
      into.put(`/${name}`, at, { system: true });
    }
    for (const [name, text] of [
      ['hosts', hostsFile(spec)],
      ['resolv.conf', resolvConf(attempt('/etc/resolv.conf', readHostResolvConf), spec)],
    ] as const) {
      const at = into.scratch();
      fs.writeFileSync(at, text);
      fs.chmodSync(at, 0o644);
      watch.add(`/etc/${name}`, at, true);
      into.put(`/etc/${name}`, at);
    }
    const lent = new Map<string, string>();
    for (const mount of sortMounts(spec.mounts)) {
      try {
        const close = await place(mount, { root, into, watch, lent, noteLoan });
        if (close) closers.push(close);
      } catch (error) {
        throw isStrakeError(error) ? error : mountFailed(`what belongs at ${mount.target}`, error);
      }
    }
    watch.begin(own);
    return { cwd: workingDirectory(rootFd, spec.cwd), readOnlyChanges: () => watch.changes(), dispose };
  } catch (error) {
    await dispose();
    throw error;
  }
}

interface Destination {
  readonly root: string;
  readonly into: Placements;
  readonly watch: ReadOnlyWatch;
  /** Folders that were moved into the root, and where they are in it. */
  readonly lent: Map<string, string>;
  readonly noteLoan: NoteLoan;
}

/** Puts one mount in its place. What it returns ends what goes on behind it. */
async function place(
  mount: ContainerMount,
  { root, into, watch, lent, noteLoan }: Destination,
): Promise<(() => Promise<void>) | undefined> {
  const at = into.scratch();
  switch (mount.kind) {
    case 'tmpfs':
      fs.mkdirSync(at);
      fs.chmodSync(at, 0o1777);
      watch.add(mount.target, at, mount.readOnly === true);
      into.put(mount.target, at);
      return undefined;
    case 'file':
      fs.writeFileSync(at, mount.content, { mode: 0o600 });
      fs.chownSync(at, mount.uid, mount.gid);
      fs.chmodSync(at, mount.mode & 0o7777);
      watch.add(mount.target, at, true);
      into.put(mount.target, at);
      return undefined;
    case 'tree':
      copySource(mount, at);
      watch.add(mount.target, at, mount.readOnly);
      into.put(mount.target, at);
      return undefined;
    case 'host':
  }
  const source = mount.path === undefined ? mount.source : placeInside(mount.source, mount.path);
  const elsewhere = lent.get(source);
  if (elsewhere !== undefined) {
    // One folder at two places: a second name is as near as this comes.
    fs.symlinkSync(elsewhere, at);
    watch.add(mount.target, at, false);
    into.put(mount.target, at, { link: true });
    return undefined;
  }
  const facts = fs.lstatSync(source);
  if (facts.isSocket()) {
    const relay = await relaySocket(at, source);
    try {
      watch.add(mount.target, at, false);
      into.put(mount.target, at);
    } catch (error) {
      await relay.close();
      throw error;
    }
    return () => relay.close();
  }
  if (mount.readOnly || !facts.isDirectory()) {
    copyTree(source, at);
    watch.add(mount.target, at, mount.readOnly);
    into.put(mount.target, at);
  } else {
    const beforeLending = (to: string): void =>
      noteLoan(root, { from: source, to: path.join(root, to), inode: facts.ino });
    watch.add(mount.target, source, false);
    lent.set(source, into.put(mount.target, source, { beforeLending }));
  }
  return undefined;
}

/** Where PATH below SOURCE really is. */
function placeInside(source: string, path: string): string {
  const inside = openInside(source, path);
  try {
    return fs.readlinkSync(`/proc/self/fd/${inside}`);
  } finally {
    closeDescriptor(inside);
  }
}

function attempt<T>(what: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw isStrakeError(error) ? error : mountFailed(what, error);
  }
}
