import { lstat, rename, rm } from 'node:fs/promises';

import { errnoOf } from '@strake/core';

import { readJson, unlessMissing } from '../files.js';

/**
 * Folders of the store that were moved into a snapshot for a step, where nothing can be mounted: `snapshots/<id>.lent`, a JSON
 * list of `from`, `to` and `inode`. Who moves one writes it before, and removes the note when all are back.
 */
interface Loan {
  readonly from: string;
  readonly to: string;
  readonly inode: number;
}

/** Moves back what a process that is gone had moved into the snapshot at PATH. To be called before the snapshot is removed. */
export async function returnLoans(path: string): Promise<void> {
  const note = `${path}.lent`;
  const loans = await readJson(note);
  if (Array.isArray(loans)) for (const loan of loans.filter(isLoan)) await giveBack(loan);
  await rm(note, { force: true });
}

function isLoan(value: unknown): value is Loan {
  const { from, to, inode } = (value ?? {}) as Partial<Loan>;
  return typeof from === 'string' && typeof to === 'string' && typeof inode === 'number';
}

async function giveBack({ from, to, inode }: Loan): Promise<void> {
  // The step may have put something else there, a link for example.
  const facts = await unlessMissing(lstat(to), ['ENOENT', 'ENOTDIR', 'ELOOP']);
  if (!facts?.isDirectory() || facts.ino !== inode) return;
  try {
    // An empty folder, made by who missed it, gives way.
    await unlessMissing(rename(to, from));
  } catch (error) {
    // Filled anew meanwhile: a cache is worth no more than another.
    if (!['ENOTEMPTY', 'EEXIST', 'ENOTDIR'].includes(errnoOf(error) ?? '')) throw error;
  }
}
