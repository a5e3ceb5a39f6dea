import { chmodSync, lchownSync, lstatSync } from 'node:fs';

import { errnoOf } from '@strake/core';
import { listXattrs, removeXattr, setXattr, SystemCallError } from '@strake/sys';

import type { EntryFacts } from '../entries.js';
import { fsPath, OWNER_XATTR, sysPath } from './paths.js';

/** Whose the files are that this process makes. */
const OWN_UID = process.geteuid?.() ?? 0;
const OWN_GID = process.getegid?.() ?? 0;

/**
 * Whether what this process makes in the folder PATH may not be of its own group, or, being a folder, not of the mode that it asked for: those
 * with the setgid bit hand on both, on file systems mounted with `grpid` all do the group.
 */
export function handsOn(path: string): boolean {
  const { mode, gid } = lstatSync(fsPath(path));
  return gid !== OWN_GID || (mode & 0o2000) !== 0;
}

/**
 * Gives a file that this process made its owner by CHANGE; where the user namespace has no such id, the owner is noted with the file.
 * INHERITED: whether its folder hands on something.
 */
export function setOwner(
  path: string,
  { uid, gid }: Pick<EntryFacts, 'uid' | 'gid'>,
  inherited: boolean,
  change: () => void,
): void {
  if (!inherited && uid === OWN_UID && gid === OWN_GID) return;
  try {
    change();
  } catch (error) {
    if (errnoOf(error) !== 'EINVAL' && errnoOf(error) !== 'EPERM') throw error;
    setXattrs(path, { [OWNER_XATTR]: `${uid}:${gid}` });
  }
}

/** Does what need not succeed: file systems without attributes, names that only the real root may set, labels of another security module. */
function wherePossible(change: () => void): void {
  try {
    change();
  } catch (error) {
    const code = error instanceof SystemCallError ? error.code : '';
    if (!['ENOTSUP', 'EOPNOTSUPP', 'EPERM', 'EACCES', 'EINVAL'].includes(code)) throw error;
  }
}

/** Sets the attributes that can be set here. */
export function setXattrs(path: string, xattrs: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(xattrs)) {
    wherePossible(() => {
      setXattr(sysPath(path), name, Buffer.from(value, 'latin1'));
    });
  }
}

/** Gives a folder, whatever it has by now, owner, mode and attributes. */
export function resetFacts(path: string, facts: Pick<EntryFacts, 'mode' | 'uid' | 'gid' | 'xattrs'>): void {
  for (const name of listXattrs(sysPath(path))) {
    if (facts.xattrs?.[name] !== undefined) continue;
    wherePossible(() => {
      removeXattr(sysPath(path), name);
    });
  }
  lchownSync(fsPath(path), OWN_UID, OWN_GID);
  setFacts(path, facts, { mode: -1, inherited: false });
}

/** What something has that was just made. */
export interface MadeFacts {
  /** -1: not known; undefined: of links. */
  readonly mode: number | undefined;
  /** Whether its folder hands on something. */
  readonly inherited: boolean;
}

/** Owner, mode and attributes of what is no file and was just made. */
export function setFacts(
  path: string,
  facts: Pick<EntryFacts, 'mode' | 'uid' | 'gid' | 'xattrs'>,
  { mode, inherited }: MadeFacts,
): void {
  setOwner(path, facts, inherited, () => lchownSync(fsPath(path), facts.uid, facts.gid));
  if (mode !== undefined && mode !== facts.mode) chmodSync(fsPath(path), facts.mode);
  if (facts.xattrs) setXattrs(path, facts.xattrs);
}
