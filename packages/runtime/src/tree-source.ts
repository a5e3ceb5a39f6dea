import fs from 'node:fs';

import { closeDescriptor, openAt2, OpenFlag, ResolveFlag } from '@strake/sys';

import { mountTargetInvalid } from './errors.js';
import type { Stub } from './root-walk.js';
import type { ContainerMount } from './types.js';

/**
 * Gives USE what MOUNT shows of the unpacked tree at FOLDER, a folder or else of any kind, as a handle (O_PATH) that lasts as long as the call.
 * Its path has no links left: one on the way was put there since.
 * @throws StrakeError `MOUNT_TARGET_INVALID`; SystemCallError
 */
export function withTreeSource<T>(
  mount: Extract<ContainerMount, { kind: 'tree' }>,
  folder: string,
  use: (source: number, kind: Stub['kind']) => T,
): T {
  const tree = fs.openSync(folder, OpenFlag.path | OpenFlag.directory);
  let source: number | undefined;
  try {
    const parts = mount.path.split('/').filter((name) => name !== '' && name !== '.');
    const walk = ResolveFlag.beneath | ResolveFlag.noSymlinks | ResolveFlag.noMagicLinks;
    source = openAt2(tree, parts.join('/') || '.', OpenFlag.path | OpenFlag.nofollow, walk);
    const facts = fs.fstatSync(source);
    if (facts.isSymbolicLink()) throw mountTargetInvalid(mount.target, 'its source has become a link');
    return use(source, facts.isDirectory() ? 'folder' : 'file');
  } finally {
    if (source !== undefined) closeDescriptor(source);
    fs.closeSync(tree);
  }
}
