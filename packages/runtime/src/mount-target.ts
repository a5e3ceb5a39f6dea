import { errnoOf, isStrakeError } from '@strake/core';

import { mountTargetInvalid } from './errors.js';
import type { Place, Stub } from './root-walk.js';

/** What the system's answers mean for a mount point. */
const WHY: Readonly<Record<string, string | undefined>> = {
  ELOOP: 'its links lead in a circle',
  ENAMETOOLONG: 'its name is too long',
  ENOTDIR: 'a part of it is no folder',
  EROFS: 'it is missing, and lies in a read-only mount',
  EXDEV: 'it lies on another file system than the rest of the root',
};

/**
 * Holds PLACE, which the mount target TARGET led to, against what a KIND can be mounted on; `system` allows /proc and /sys.
 * @throws StrakeError `MOUNT_TARGET_INVALID`
 */
export function checkMountTarget(place: Place, target: string, kind: Stub['kind'], system = false): void {
  if (place.path === '/') throw mountTargetInvalid(target, 'it is the root');
  if (!system && /^\/(proc|sys)(\/|$)/.test(place.path)) throw mountTargetInvalid(target, 'it lies in /proc or /sys');
  if (place.kind !== kind) {
    const why = kind === 'file' ? 'a folder is there, and a file is mounted' : 'it is no folder';
    throw mountTargetInvalid(target, why);
  }
}

/** What to say of an ERROR at the mount target TARGET: a StrakeError as it is, else `MOUNT_TARGET_INVALID`. */
export function mountTargetError(target: string, error: unknown): Error {
  if (isStrakeError(error)) return error;
  const code = errnoOf(error) ?? '';
  return mountTargetInvalid(target, WHY[code] ?? (error instanceof Error ? error.message : code), error);
}
