import { errnoOf } from '@strake/core';
import fs from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';

/** Whose ids files of a step can have: every one (root), a range of this user's, or one id, which steps see as root. */
export type StepIds = 'all' | 'range' | 'one';

export interface StepIdsFacts {
  readonly ids: StepIds;
  /** What is there or missing, in one line. */
  readonly detail: string;
  /** What to do about `one`. */
  readonly hint?: string | undefined;
}

/** Who asks; for tests. */
export interface StepIdsPlace {
  readonly uid: number;
  readonly name: string;
  /** Folders of programs. */
  readonly path: string;
  /** Where subuid and subgid are. */
  readonly etc: string;
}

/**
 * Which ids steps can have here: newuidmap and newgidmap give an ordinary user those that /etc/subuid and /etc/subgid grant.
 * Grants that a directory service makes are not seen.
 */
export function findStepIds(place: StepIdsPlace = thisUser()): StepIdsFacts {
  if (place.uid === 0) return { ids: 'all', detail: 'root' };
  const programs = ['newuidmap', 'newgidmap'].filter((name) => !isInPath(name, place.path));
  const files = ['subuid', 'subgid'].filter((name) => !grants(join(place.etc, name), place));
  const lacking = [
    ...programs.map((name) => `there is no ${name}`),
    ...files.map((name) => `/etc/${name} has no range for ${place.name}`),
  ];
  if (lacking.length === 0)
    return { ids: 'range', detail: 'newuidmap, and a range of ids in /etc/subuid and /etc/subgid' };
  return { ids: 'one', detail: `${lacking.join(', ')}: every file of a step is root's`, hint: moreIdsHint(place.name) };
}

/** What root can do to give NAME more ids. */
export function moreIdsHint(name: string = thisUser().name): string {
  const range = '--add-subuids 100000-165535 --add-subgids 100000-165535';
  return `For files of other users, as root: apt-get install uidmap && usermod ${range} ${name}`;
}

function thisUser(): StepIdsPlace {
  const uid = process.geteuid?.() ?? 0;
  return { uid, name: nameOf(uid), path: process.env['PATH'] ?? '', etc: '/etc' };
}

function nameOf(uid: number): string {
  try {
    return userInfo().username;
  } catch (error) {
    // A container started with a number that its /etc/passwd does not know. Node's error has its errno elsewhere then.
    if (errnoOf(error) === undefined && (error as { code?: unknown }).code !== 'ERR_SYSTEM_ERROR') throw error;
    return String(uid);
  }
}

function isInPath(name: string, path: string): boolean {
  return path.split(':').some((folder) => {
    if (!folder.startsWith('/')) return false;
    try {
      fs.accessSync(join(folder, name), fs.constants.X_OK);
      return true;
    } catch (error) {
      if (errnoOf(error) === undefined) throw error;
      return false;
    }
  });
}

function grants(file: string, { name, uid }: StepIdsPlace): boolean {
  try {
    return fs
      .readFileSync(file, 'utf8')
      .split('\n')
      .some((line) => line.startsWith(`${name}:`) || line.startsWith(`${uid}:`));
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    return false;
  }
}
