// The program repeat.cjs: answers a build like the one before it without the rest of Strake. Imports as little as it can.
import { fileIdentity, fileState, storeRoot } from '@strake/core';
import { lstatSync, readFileSync, realpathSync, renameSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { output } from '../output.js';
import { seconds } from '../print/seconds.js';
import { bootId, describeCall, fileNameOf, isSwitchedOff } from './call.js';
import { FORMAT, isAnswer, keptFolder, type KeptAnswer, type KeptCall } from './kept-call.js';

/** Whether two lists of what was found at a path are the same; undefined: nothing was there. */
function isSame(kept: readonly number[] | null | undefined, now: readonly number[] | undefined): boolean {
  if (!kept || !now) return !kept && !now;
  return kept.every((value, i) => value === now[i]);
}

/** Whether all that a call's result hung on is as it was. */
function holds({ seen, led, same }: KeptAnswer): boolean {
  const options = { throwIfNoEntry: false } as const;
  for (const [path, identity] of same) {
    const stats = statSync(path, options);
    if (!isSame(identity, stats && fileIdentity(stats))) return false;
  }
  for (const [path, real] of led) if (realpathSync(path) !== real) return false;
  for (const [path, state] of seen) {
    const stats = lstatSync(path, options);
    if (!isSame(state, stats && fileState(stats))) return false;
  }
  return true;
}

/** Leaves what a cached build leaves: times of use, and the notes for `strake explain`. */
function leaveTraces({ used, note }: KeptAnswer, root: string): void {
  const now = new Date();
  for (const path of used) utimesSync(path, now, now);
  const text = JSON.stringify({ ...note.content, time: now.getTime() });
  for (const [i, path] of note.files.entries()) {
    const temporary = `${root}/tmp/repeat.${process.pid}.${process.hrtime.bigint()}.${i}`;
    writeFileSync(temporary, text, { mode: 0o600, flag: 'wx' });
    renameSync(temporary, path);
  }
}

/** What is known of this process's call before anything else is loaded. */
export type Foreknowledge = 'answered' | 'will probably run steps' | 'nothing';

/**
 * Answers this process's call where it is one that was answered before, from the cache, and everything that its result hangs on is
 * as it was: prints what that printed. Otherwise says what is to be expected, and nothing was done.
 */
export function answer(): Foreknowledge {
  const { env } = process;
  if (isSwitchedOff(env)) return 'nothing';
  const started = performance.now();
  const [stdout, stderr] = [output(1, () => process.stdout), output(2, () => process.stderr)];
  const root = storeRoot(undefined, env);
  const call = describeCall({ argv: process.argv.slice(2), cwd: process.cwd(), stdout, stderr });
  const kept = readKept(`${keptFolder(root)}/${fileNameOf(call)}`);
  if (kept?.format !== FORMAT) return 'will probably run steps';
  if (!isAnswer(kept)) return 'nothing';
  if (
    kept.call !== call ||
    kept.boot !== bootId() ||
    kept.env.some(([name, value]) => (env[name] ?? null) !== value) ||
    !holds(kept)
  )
    return 'will probably run steps';
  leaveTraces(kept, root);
  stdout.write(kept.stdout);
  const [before, behind] = kept.stderr;
  stderr.write(behind === undefined ? before : `${before}${seconds(performance.now() - started)}${behind}`);
  return 'answered';
}

function readKept(path: string): Partial<KeptCall> | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Partial<KeptCall>;
  } catch {
    return undefined;
  }
}
