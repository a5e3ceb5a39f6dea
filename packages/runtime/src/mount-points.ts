import fs from 'node:fs';

import { errnoOf } from '@strake/core';
import {
  attachMount,
  cloneMount,
  closeDescriptor,
  makeMount,
  mount,
  MountAttribute,
  MountFlag,
  OpenFlag,
  setMountAttributes,
} from '@strake/sys';

import { mountFailed } from './errors.js';
import type { MountSpec } from './types.js';

/** Longest text that mount(2) takes as options, one page less its end. */
const PAGE = 4095;

/** Attaches MOUNT (a descriptor, closed by this) at PATH, a folder of our own: no image has a say in where it leads. */
export function attachAt(mountFd: number, path: string): void {
  const target = fs.openSync(path, OpenFlag.path | OpenFlag.nofollow);
  try {
    attachMount(mountFd, target);
  } finally {
    fs.closeSync(target);
    closeDescriptor(mountFd);
  }
}

/** A bind mount in the making of PATH, or of what a descriptor stands for. */
export function bindMount(path: string | number, attributes: number, recursive = false): number {
  const fd = cloneMount(path, { recursive });
  try {
    if (attributes !== 0) setMountAttributes(fd, attributes, { recursive });
    return fd;
  } catch (error) {
    closeDescriptor(fd);
    throw error;
  }
}

/** A tmpfs in the making. Size in bytes. */
export function memoryMount(mode: string, size: number | undefined, attributes: number): number {
  const parameters: [string, string][] = [['mode', mode]];
  if (size !== undefined) parameters.push(['size', String(size)]);
  return makeMount('tmpfs', parameters, attributes, 'tmpfs');
}

/**
 * Mounts a tree at PATH. EMPTY is an empty folder: overlayfs wants two layers where nothing is writable, and one in any case.
 * @throws StrakeError `MOUNT_FAILED`
 */
export function mountTree(spec: MountSpec, path: string, empty: string, attributes: number): void {
  try {
    if (spec.kind === 'bind') {
      attachAt(bindMount(spec.source, attributes | (spec.readOnly ? MountAttribute.readonly : 0)), path);
      return;
    }
    const lower = spec.lower.length > (spec.upper === undefined ? 1 : 0) ? spec.lower : [...spec.lower, empty];
    mountOverlay({ ...spec, lower }, path, attributes);
  } catch (error) {
    throw mountFailed(spec.kind === 'bind' ? spec.source : `the ${spec.lower.length} layers of the root`, error);
  }
}

type Overlay = Extract<MountSpec, { kind: 'overlay' }>;

function mountOverlay(spec: Overlay, path: string, attributes: number): void {
  const writable: [string, string][] =
    spec.upper !== undefined && spec.work !== undefined
      ? [
          ['upperdir', spec.upper],
          ['workdir', spec.work],
        ]
      : [];
  const options = spec.options.map((option): [string, string | true] => {
    const at = option.indexOf('=');
    return at < 0 ? [option, true] : [option.slice(0, at), option.slice(at + 1)];
  });
  if (writable.length === 0) attributes |= MountAttribute.readonly;
  try {
    const layers = spec.lower.map((folder): [string, string] => ['lowerdir+', folder]);
    attachAt(makeMount('overlay', [...layers, ...writable, ...options], attributes, 'overlay'), path);
  } catch (error) {
    // `lowerdir+` is of Linux 6.5; ENOSYS is what fsopen gives before 5.2.
    if (errnoOf(error) !== 'EINVAL' && errnoOf(error) !== 'ENOSYS') throw error;
    mountOverlayAsText(spec, path, attributes, [...writable, ...options]);
  }
}

/** By mount(2), whose options are one text of a page: long lists of layers are named by descriptors, which are short. */
function mountOverlayAsText(
  spec: Overlay,
  path: string,
  attributes: number,
  rest: readonly (readonly [string, string | true])[],
): void {
  const escape = (value: string): string => value.replace(/[\\,:]/g, '\\$&');
  const words = rest.map(([name, value]) => (value === true ? name : `${name}=${value.replace(/[\\,]/g, '\\$&')}`));
  const text = (folders: readonly string[]): string => [`lowerdir=${folders.join(':')}`, ...words].join(',');
  const opened: number[] = [];
  try {
    let data = text(spec.lower.map(escape));
    if (Buffer.byteLength(data) > PAGE) {
      for (const folder of spec.lower)
        opened.push(fs.openSync(folder, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY));
      data = text(opened.map((fd) => `/proc/self/fd/${fd}`));
    }
    mount('overlay', path, 'overlay', attributes & (MountFlag.readonly | MountFlag.nosuid | MountFlag.nodev), data);
  } finally {
    for (const fd of opened) fs.closeSync(fd);
  }
}
