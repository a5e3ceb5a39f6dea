import { existsSync, linkSync, lstatSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Bench } from './bench.js';
import type { TracedCall } from './injector.js';

/**
 * What a power cut may leave of names: `ordered`, as file systems with a journal do it, all up to some point in time that is not before
 * the last folder that was synced; `unordered`: any of those in folders that were not synced since.
 */
export type Names = 'ordered' | 'unordered';

const CHANGES = new Set(['create', 'mkdir', 'rename', 'link', 'unlink']);
/** A tmpfs or an overlay of a step lies there in a mount namespace of its own; nothing in it outlives that. */
const OF_STEPS = /\/tmp\/[^/]+\.steps\//;

/** The changes of names that were not on the disk, the last one first. */
function pendingChanges(calls: readonly TracedCall[], names: Names, random: () => number): TracedCall[] {
  let pending: TracedCall[] = [];
  for (const call of calls) {
    if (call.result < 0) continue;
    if (CHANGES.has(call.name)) pending.push(call);
    if (call.name !== 'sync') continue;
    const isIn = ({ path: from, to }: TracedCall): boolean => path.dirname(to === '' ? from : to) === call.path;
    const last = pending.findLastIndex(isIn);
    pending = names === 'ordered' ? pending.slice(last + 1) : pending.filter((change) => !isIn(change));
  }
  const kept = names === 'ordered' ? Math.floor(random() * (pending.length + 1)) : 0;
  return pending
    .slice(kept)
    .filter(() => names === 'ordered' || random() < 0.5)
    .reverse();
}

/** The inodes whose content was not on the disk. */
function dirtyInodes(calls: readonly TracedCall[]): Set<number> {
  const dirty = new Set<number>();
  for (const { name, inode, result } of calls) {
    if (result < 0 || inode === 0) continue;
    if (['create', 'truncate', 'write'].includes(name)) dirty.add(inode);
    if (name === 'sync') dirty.delete(inode);
  }
  return dirty;
}

/** Does WORK; what it is about may have gone with something else. */
function ifThere(work: () => void): void {
  try {
    work();
  } catch (error) {
    if (!['ENOENT', 'EEXIST', 'ENOTDIR', 'ENOTEMPTY', 'EISDIR'].includes((error as NodeJS.ErrnoException).code ?? ''))
      throw error;
  }
}

function undo(bench: Bench, { number, name, path: from, to }: TracedCall): void {
  const dig = (grave: string, place: string): void => {
    if (existsSync(bench.injector.grave(grave))) ifThere(() => linkSync(bench.injector.grave(grave), place));
  };
  if (name === 'unlink') dig(`${number}`, from);
  else if (name === 'rename') {
    if (existsSync(to)) ifThere(() => renameSync(to, from));
    else dig(`${number}from`, from);
    dig(`${number}`, to);
  } else rmSync(name === 'link' ? to : from, { recursive: true, force: true });
}

/** Gives a file the content that a file may have that was not synced. */
function tear(file: string, random: () => number): void {
  const bytes = readFileSync(file);
  const cut = Math.floor((random() * bytes.length) / 512) * 512;
  const kind = Math.floor(random() * 4);
  if (kind === 0) writeFileSync(file, '');
  else if (kind === 1) writeFileSync(file, bytes.subarray(0, cut));
  else if (kind === 2) writeFileSync(file, bytes.fill(0, cut));
  else writeFileSync(file, bytes.fill(0, cut, Math.min(cut + 512, bytes.length)));
}

/**
 * Cuts the power after the last command, which ran with `graves`: takes names back and tears contents that need not have reached the
 * disk.
 */
export function cutPower(bench: Bench, names: Names, random: () => number): void {
  const calls = bench.injector.calls().filter(({ path: from }) => !OF_STEPS.test(from));
  for (const change of pendingChanges(calls, names, random)) undo(bench, change);
  const dirty = dirtyInodes(calls);
  const torn = new Set<number>();
  for (const name of readdirSync(bench.disk, { recursive: true, encoding: 'utf8' })) {
    const file = path.join(bench.disk, name);
    const facts = lstatSync(file, { throwIfNoEntry: false });
    if (!facts?.isFile() || !dirty.has(facts.ino) || torn.has(facts.ino)) continue;
    torn.add(facts.ino);
    // Often a file gets to the disk by itself.
    if (random() < 0.7) tear(file, random);
  }
}
