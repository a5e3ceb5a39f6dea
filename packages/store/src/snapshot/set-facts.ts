import { chmodSync, lchownSync } from 'node:fs';

import { errnoOf } from '@strake/core';
import { setXattr, SystemCallError } from '@strake/sys';

import type { EntryFacts } from '../types.js';
import { fsPath, OWNER_XATTR, sysPath } from './paths.js';

/** Whose the files are that this process makes. */
const OWN_UID = process.geteuid?.() ?? 0;
const OWN_GID = process.getegid?.() ?? 0;

/** Gives a file that this process made its owner by CHANGE; where the user namespace has no such id, the owner is noted with the file. */
export function setOwner(path: string, { uid, gid }: Pick<EntryFacts, 'uid' | 'gid'>, change: () => void): void {
  if (uid === OWN_UID && gid === OWN_GID) return;
  try {
    change();
  } catch (error) {
    if (errnoOf(error) !== 'EINVAL' && errnoOf(error) !== 'EPERM') throw error;
    setXattrs(path, { [OWNER_XATTR]: `${uid}:${gid}` });
  }
}

/** Sets the attributes that can be set here. */
export function setXattrs(path: string, xattrs: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(xattrs)) {
    try {
      setXattr(sysPath(path), name, Buffer.from(value, 'latin1'));
    } catch (error) {
      // File systems without attributes, names that only the real root may set, labels of another security module.
      const code = error instanceof SystemCallError ? error.code : '';
      if (!['ENOTSUP', 'EOPNOTSUPP', 'EPERM', 'EACCES', 'EINVAL'].includes(code)) throw error;
    }
  }
}

/** Owner, mode and attributes of what is no file and was just made. MODE: what it has by now, -1 unknown, undefined for links. */
export function setFacts(
  path: string,
  facts: Pick<EntryFacts, 'mode' | 'uid' | 'gid' | 'xattrs'>,
  mode: number | undefined,
): void {
  setOwner(path, facts, () => lchownSync(fsPath(path), facts.uid, facts.gid));
  if (mode !== undefined && mode !== facts.mode) chmodSync(fsPath(path), facts.mode);
  if (facts.xattrs) setXattrs(path, facts.xattrs);
}
