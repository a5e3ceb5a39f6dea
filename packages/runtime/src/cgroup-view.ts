import fs from 'node:fs';
import path from 'node:path';

import {
  attachMount,
  cloneMount,
  closeDescriptor,
  fileSystemType,
  makeMount,
  MountAttribute,
  setMountAttributes,
} from '@strake/sys';

import { mountFailed } from './errors.js';

const FOLDER = '/sys/fs/cgroup';
const CGROUP2 = 0x63677270;
/** What the list of mounts names the folder in memory by. */
const SOURCE = 'strake-cgroups';

/**
 * Makes this process's mount namespace one in which OCI runtimes make no cgroups, as steps need none: nothing is left on the
 * machine when a builder is killed, and each start is faster. crun refuses machines with both versions of cgroups; runc, told
 * that it is rootless, goes without where it meets a read-only file system.
 * Version 2 is covered by itself, read-only; version 1 by a read-only folder in memory with the same names.
 */
export function coverCgroups(): void {
  if (!fs.existsSync(FOLDER) || isCovered()) return;
  const { readonly, nosuid, nodev, noexec } = MountAttribute;
  let cover: number | undefined;
  let target: number | undefined;
  try {
    target = fs.openSync(FOLDER, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY);
    if (fileSystemType(FOLDER) === CGROUP2) {
      cover = cloneMount(FOLDER);
      setMountAttributes(cover, readonly);
    } else {
      const folders = ownCgroups();
      cover = makeMount('tmpfs', [['mode', '0755']], nosuid | nodev | noexec, SOURCE);
      attachMount(cover, target);
      for (const folder of folders) fs.mkdirSync(path.join(FOLDER, folder), { recursive: true });
      setMountAttributes(cover, readonly);
      return;
    }
    attachMount(cover, target);
  } catch (error) {
    throw mountFailed(FOLDER, error);
  } finally {
    if (cover !== undefined) closeDescriptor(cover);
    if (target !== undefined) fs.closeSync(target);
  }
}

function mountLines(): readonly string[] {
  return fs.readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
}

/** Whether this was done before in this mount namespace. */
function isCovered(): boolean {
  const fields = mountLines()
    .map((line) => line.split(' '))
    .filter((words) => words[4] === FOLDER)
    .at(-1);
  if (!fields) return false;
  const [type, source] = fields.slice(fields.indexOf('-') + 1);
  return source === SOURCE || (type === 'cgroup2' && /(^|,)ro(,|$)/.test(fields[5] ?? ''));
}

/** The folders of this process's own cgroups of version 1, below /sys/fs/cgroup. */
function ownCgroups(): string[] {
  const mounted = mountLines()
    .map((line) => line.split(' ')[4] ?? '')
    .filter((point) => point.startsWith(`${FOLDER}/`))
    .map((point) => point.slice(FOLDER.length + 1));
  const folders: string[] = [];
  for (const line of fs.readFileSync('/proc/self/cgroup', 'utf8').trim().split('\n')) {
    const [, controllers = '', ...where] = line.split(':');
    const name = controllers.replace(/^name=/, '');
    if (name !== '' && mounted.includes(name))
      folders.push(path.join(name, path.posix.normalize(`/${where.join(':')}`)));
  }
  return folders;
}
