import { randomBytes } from 'node:crypto';
import {
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  type StatsFs,
} from 'node:fs';
import { open, readFile, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';

import { errnoOf } from '@strake/core';

import { writeFailure } from './errors.js';

/** Random text for names: LENGTH characters of base 32, in small letters. */
export function randomName(length: number): string {
  let name = '';
  for (const byte of randomBytes(length)) name += '0123456789abcdefghjkmnpqrstvwxyz'[byte & 31] ?? '';
  return name;
}

/** Brings the content of a file to the disk. */
export async function syncData(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.datasync();
  } finally {
    await handle.close();
  }
}

/** Makes a rename in FOLDER last through a power cut. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/**
 * Puts CONTENT at PATH, which no reader ever sees half-written: written to TEMPORARY (on the same file system), then renamed.
 * With `durable` it is on the disk before this returns. @throws StrakeError `DISK_FULL`
 */
export async function writeFileWhole(
  path: string,
  content: string | Uint8Array | Iterable<Uint8Array>,
  temporary: string,
  options: { readonly durable?: boolean } = {},
): Promise<void> {
  const whole = typeof content === 'string' || content instanceof Uint8Array;
  if (whole && !options.durable && content.length <= SMALL) {
    writeSmallFile(path, content, temporary);
    return;
  }
  try {
    const handle = await open(temporary, 'wx', 0o600);
    try {
      if (whole) await handle.writeFile(content);
      else for (const chunk of content) await handle.writeFile(chunk);
      if (options.durable) await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, path);
    if (options.durable) await syncFolder(dirname(path));
  } catch (error) {
    await rm(temporary, { force: true });
    throw writeFailure(error, path);
  }
}

/** The same, at once: see {@link readJsonNow}. */
function writeSmallFile(path: string, content: string | Uint8Array, temporary: string): void {
  try {
    writeFileSync(temporary, content, { flag: 'wx', mode: 0o600 });
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw writeFailure(error, path);
  }
}

/** What a promise gives, or undefined where it rejects with ENOENT (or one of CODES). */
export async function unlessMissing<T>(
  promise: Promise<T>,
  codes: readonly string[] = ['ENOENT'],
): Promise<T | undefined> {
  try {
    return await promise;
  } catch (error) {
    if (codes.includes(errnoOf(error) ?? '')) return undefined;
    throw error;
  }
}

/** Bytes of a file that is read and written at once: handing so little to a thread takes ten times as long as doing it. */
export const SMALL: number = 1 << 18;

/** A whole file; undefined where there is none. A small one is read at once. */
export async function readWhole(path: string): Promise<Buffer | undefined> {
  const size = sizeNow(path);
  if (size === undefined) return undefined;
  return unlessMissing(size <= SMALL ? new Promise((resolve) => resolve(readFileSync(path))) : readFile(path));
}

/** As {@link readJson}, at once. */
export function readJsonNow(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as unknown;
  } catch (error) {
    if (error instanceof SyntaxError || errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** The names in a folder; none where it is missing. */
export function namesNow(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  }
}

/** Where a link leads; undefined where there is none. */
export function linkNow(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** The size of a file; undefined where there is none. */
export function sizeNow(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.size;
}

/** A JSON file; undefined where it is missing or is no JSON (a file cut short by a power cut counts as none). */
export function readJson(path: string): Promise<unknown> {
  return new Promise((resolve) => resolve(readJsonNow(path)));
}

/** Bytes that are free on a file system; those that count no blocks, as ramfs does, have no limit that they tell of. */
export function freeBytes({ blocks, bavail, bsize }: Pick<StatsFs, 'blocks' | 'bavail' | 'bsize'>): number {
  return blocks === 0 ? Infinity : bavail * bsize;
}
