import fs from 'node:fs';
import path from 'node:path';

import { isStrakeError } from '@strake/core';
import { attachMount, closeDescriptor, MountAttribute } from '@strake/sys';

import { copySource } from './chroot/copy-tree.js';
import { mountFailed } from './errors.js';
import { openInside } from './host-source.js';
import { checkMountTarget, mountTargetError } from './mount-target.js';
import { bindMount, memoryMount, mountTree } from './mount-points.js';
import { walkRoot, type Stub } from './root-walk.js';
import { withTreeSource } from './tree-source.js';
import type { ContainerMount, ContainerSpec, MountSpec } from './types.js';
import { inUserNamespace } from './user-namespace.js';

interface Place {
  /** A descriptor of the root. */
  readonly root: number;
  /** A folder in memory. */
  readonly folder: string;
  /** A folder on disk for changes to be thrown away. */
  readonly discarded: string;
  readonly created: (stub: Stub) => void;
  /** As of `nodeAttribute`. */
  readonly nodev: number;
}

const { readonly, nosuid } = MountAttribute;

/** Parents before what lies in them. */
export function sortMounts(mounts: readonly ContainerMount[]): ContainerMount[] {
  const depth = (mount: ContainerMount): number => mount.target.split('/').length;
  return [...mounts].sort((a, b) => depth(a) - depth(b) || (a.target < b.target ? -1 : Number(a.target > b.target)));
}

/** Mounts what the step asks for, parents before what lies in them. @throws StrakeError `MOUNT_FAILED`, `MOUNT_TARGET_INVALID` */
export function mountUserMounts(spec: ContainerSpec, place: Place): void {
  for (const [i, mount] of sortMounts(spec.mounts).entries()) {
    const { fd, kind } = prepare(mount, i, place);
    mountOnto(place.root, mount.target, kind, place.created, fd);
  }
}

/**
 * Attaches the mount MOUNT (a descriptor, closed by this) at TARGET inside ROOT, which is made where it is missing.
 * @throws StrakeError `MOUNT_TARGET_INVALID`
 */
export function mountOnto(
  root: number,
  target: string,
  kind: Stub['kind'],
  created: (stub: Stub) => void,
  mount: number,
): void {
  let at: number | undefined;
  try {
    const place = walkRoot(root, target, { create: kind, created });
    at = place.fd;
    checkMountTarget(place, target, kind);
    attachMount(mount, at);
  } catch (error) {
    throw mountTargetError(target, error);
  } finally {
    if (at !== undefined) closeDescriptor(at);
    closeDescriptor(mount);
  }
}

function prepare(mount: ContainerMount, index: number, place: Place): { fd: number; kind: Stub['kind'] } {
  const { nodev } = place;
  try {
    switch (mount.kind) {
      case 'tmpfs':
        return {
          fd: memoryMount('1777', mount.size, nosuid | nodev | (mount.readOnly ? readonly : 0)),
          kind: 'folder',
        };
      case 'host': {
        const attributes = nodev | (mount.readOnly ? readonly : 0);
        if (mount.path !== undefined) return bindInside(mount.source, mount.path, attributes);
        const fd = bindMount(mount.source, attributes, true);
        return { fd, kind: fs.statSync(mount.source).isDirectory() ? 'folder' : 'file' };
      }
      case 'file': {
        const file = path.join(place.folder, 'files', String(index));
        fs.writeFileSync(file, mount.content, { mode: 0o600 });
        fs.chownSync(file, mount.uid, mount.gid);
        fs.chmodSync(file, mount.mode & 0o7777);
        return { fd: bindMount(file, readonly | nosuid | MountAttribute.nodev), kind: 'file' };
      }
      case 'tree':
        return mount.readOnly || mount.tree.kind !== 'bind'
          ? prepareTree(mount, index, place)
          : prepareWritable(mount, index, place);
    }
  } catch (error) {
    throw isStrakeError(error) ? error : mountFailed(`what belongs at ${mount.target}`, error);
  }
}

function bindInside(source: string, path: string, attributes: number): { fd: number; kind: Stub['kind'] } {
  const inside = openInside(source, path);
  try {
    return { fd: bindMount(inside, attributes), kind: fs.fstatSync(inside).isDirectory() ? 'folder' : 'file' };
  } finally {
    closeDescriptor(inside);
  }
}

function prepareTree(
  mount: Extract<ContainerMount, { kind: 'tree' }>,
  index: number,
  place: Place,
): { fd: number; kind: Stub['kind'] } {
  const at = path.join(place.folder, `tree-${index}`);
  fs.mkdirSync(at);
  const spec = mount.readOnly ? mount.tree : throwaway(mount.tree, path.join(place.discarded, String(index)));
  mountTree(spec, at, path.join(place.folder, 'empty'), place.nodev);
  return withTreeSource(mount, at, (source, kind) => ({
    fd: bindMount(source, place.nodev | (mount.readOnly ? readonly : 0)),
    kind,
  }));
}

/** A writable part of an unpacked tree: an overlay over it, or a copy where none can be mounted there. */
function prepareWritable(
  mount: Extract<ContainerMount, { kind: 'tree' }>,
  index: number,
  place: Place,
): { fd: number; kind: Stub['kind'] } {
  try {
    return prepareTree(mount, index, place);
  } catch (error) {
    if (!isStrakeError(error, 'MOUNT_FAILED')) throw error;
    const copy = path.join(place.discarded, `copy-${index}`);
    copySource(mount, copy);
    return { fd: bindMount(copy, place.nodev), kind: fs.statSync(copy).isDirectory() ? 'folder' : 'file' };
  }
}

/** TREE with an upper layer that is thrown away with FOLDER. */
function throwaway(tree: MountSpec, folder: string): MountSpec {
  const upper = path.join(folder, 'upper');
  const work = path.join(folder, 'work');
  for (const made of [folder, upper, work]) fs.mkdirSync(made);
  const lower =
    tree.kind === 'bind' ? [tree.source] : [...(tree.upper === undefined ? [] : [tree.upper]), ...tree.lower];
  for (const below of lower.slice(0, 1)) {
    const facts = fs.statSync(below);
    fs.chownSync(upper, facts.uid, facts.gid);
    fs.chmodSync(upper, facts.mode & 0o7777);
  }
  const options = tree.kind === 'overlay' ? tree.options : inUserNamespace() ? ['userxattr'] : [];
  return { kind: 'overlay', lower, upper, work, options };
}
