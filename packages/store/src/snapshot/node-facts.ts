import { readlinkSync, type Stats } from 'node:fs';

import { textOfBytes } from '@strake/core';
import { getXattr, listXattrs, splitDevice } from '@strake/sys';

import type { EntryFacts } from '../entries.js';
import { fsPath, OWNER_XATTR, sysPath } from './paths.js';

const TYPE_BITS = 0o170000;
const TYPES: Readonly<Record<number, EntryFacts['type']>> = {
  0o100000: 'file',
  0o040000: 'directory',
  0o120000: 'symlink',
  0o020000: 'char',
  0o060000: 'block',
  0o010000: 'fifo',
};
const OVERLAY_XATTR = /^(trusted|user)\.overlay\./;

/** What a walk knows of a file: Stats, or what is read faster. */
export type NodeFacts = Pick<
  Stats,
  'mode' | 'uid' | 'gid' | 'size' | 'blocks' | 'nlink' | 'dev' | 'ino' | 'rdev' | 'mtimeMs'
>;

/** The type that a mode tells; undefined for sockets. */
export function typeOfMode(mode: number): EntryFacts['type'] | undefined {
  return TYPES[mode & TYPE_BITS];
}

function readXattrs(source: string, opened: number | undefined): Record<string, string> | undefined {
  const path = sysPath(source);
  let xattrs: Record<string, string> | undefined;
  for (const name of listXattrs(opened ?? path)) {
    if (OVERLAY_XATTR.test(name)) continue;
    const value = getXattr(path, name);
    if (value) (xattrs ??= {})[name] = value.toString('latin1');
  }
  return xattrs;
}

/** The entry PATH of a layer for what lies at SOURCE; undefined for sockets. OPENED: a descriptor of it, where there is one. */
export function readFacts(source: string, path: string, stats: NodeFacts, opened?: number): EntryFacts | undefined {
  const type = typeOfMode(stats.mode);
  if (!type) return undefined;
  let xattrs = readXattrs(source, opened);
  let { uid, gid } = stats;
  const owner = xattrs?.[OWNER_XATTR];
  if (xattrs && owner !== undefined) {
    // Noted when the file was unpacked, as this process's own; a step that gave it to someone else has the last word.
    const [ownerUid = uid, ownerGid = gid] = owner.split(':').map(Number);
    if (uid === process.geteuid?.() && gid === process.getegid?.()) [uid, gid] = [ownerUid, ownerGid];
    const { [OWNER_XATTR]: _own, ...rest } = xattrs;
    xattrs = Object.keys(rest).length > 0 ? rest : undefined;
  }
  return {
    path,
    type,
    mode: type === 'symlink' ? 0o777 : stats.mode & 0o7777,
    uid,
    gid,
    size: type === 'file' ? stats.size : 0,
    mtime: Math.floor(stats.mtimeMs / 1000),
    link: type === 'symlink' ? textOfBytes(readlinkSync(fsPath(source), 'buffer')) : undefined,
    device: type === 'char' || type === 'block' ? splitDevice(stats.rdev) : undefined,
    xattrs,
  };
}
