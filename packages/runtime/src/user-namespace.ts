import fs from 'node:fs';

import { userUnmapped } from './errors.js';
import type { ContainerSpec } from './types.js';

interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** Whether this process lives in a user namespace other than the machine's first. */
export function inUserNamespace(): boolean {
  const [first = ''] = fs.readFileSync('/proc/self/uid_map', 'utf8').trim().split('\n');
  return first.trim().split(/\s+/).join(' ') !== '0 0 4294967295';
}

/** Whether this process's user namespace has an id at all (user_namespaces(7)). */
function hasId(kind: 'uid' | 'gid', id: number): boolean {
  const ranges = fs.readFileSync(`/proc/self/${kind}_map`, 'utf8').trim().split('\n');
  return ranges.some((range) => {
    const [start = 0, , count = 0] = range.trim().split(/\s+/).map(Number);
    return id >= start && id < start + count;
  });
}

/**
 * Refuses owners that no file or process can have here: ordinary users have the ids that /etc/subuid grants them, or one.
 * WHAT is to be theirs.
 * @throws StrakeError `USER_UNMAPPED`
 */
export function requireOwner({ uid, gid }: Owner, what: string): void {
  if (!hasId('uid', uid)) throw userUnmapped('user', uid, what);
  if (!hasId('gid', gid)) throw userUnmapped('group', gid, what);
}

/**
 * SPEC with the groups that can be had here: further groups are left away where the namespace has no such id or may set none.
 * @throws StrakeError `USER_UNMAPPED` where its user or the owner of one of its files cannot be had
 */
export function withOwnIds(spec: ContainerSpec): ContainerSpec {
  if (!inUserNamespace()) return spec;
  requireOwner(spec.user, 'a process of the step');
  for (const mount of spec.mounts) if (mount.kind === 'file') requireOwner(mount, mount.target);
  const groups = maySetGroups() ? spec.user.additionalGids.filter((gid) => hasId('gid', gid)) : [];
  return { ...spec, user: { ...spec.user, additionalGids: groups } };
}

/** False in a namespace that a user without a range of ids made for himself. */
export function maySetGroups(): boolean {
  return fs.readFileSync('/proc/self/setgroups', 'utf8').trim() === 'allow';
}
