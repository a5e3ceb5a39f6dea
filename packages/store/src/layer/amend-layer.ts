import { closeSync, openSync, readFileSync, readSync, fstatSync } from 'node:fs';

import { errnoOf } from '@strake/core';

import { BLOCK, headerBytes, paddingOf, type TarHeader } from '../tar/header.js';
import type { HashTrail } from '../tar/hash-trail.js';
import { readerOf } from '../tar/sink.js';
import type { LayerEntry } from '../entries.js';
import type { FormerFiles } from './former-contents.js';
import { Field, HEADER_SIZE, RECORD_SIZE, TypeCode } from './index-format.js';
import { LayerIndex } from './layer-index.js';
import { headerOf, type LayerWriter } from './layer-writer.js';
import { RangeCopier } from './range-copier.js';
import type { RawEntries } from './raw-entries.js';

/** An entry that takes the place of a record's. */
interface Replacement {
  readonly entry: LayerEntry;
  readonly record: number;
  /** What the entry in the former tar takes: from its header to its padding. */
  readonly start: number;
  readonly end: number;
}

export interface Amending {
  readonly aborted: () => boolean;
  /** What the hash of the former tar was on its way, where that is known: what lies before the first change is not hashed again. */
  readonly trail?: HashTrail | undefined;
  /** Of the new tar, for errors. */
  readonly path: string;
}

/** What the blocks of stat(2) have. */
const SECTOR = 512;
/** What two zero blocks at the end of a tar take. */
const END = 2 * BLOCK;

/**
 * Writes FORMER anew with ENTRIES in the places of those with the same paths: what lies between is copied in long pieces, and its
 * index taken over. Byte for byte what writing all entries would give. Only files and folders that have nothing but their facts can
 * be replaced, by their like. Undefined where something else is asked for, or FORMER is not as it was written; whether its bytes are
 * still those of its diff ID is not looked at.
 */
export async function amendLayer(
  { diffId, tarPath, indexPath }: FormerFiles,
  entries: readonly LayerEntry[],
  writer: LayerWriter,
  { aborted, trail, path }: Amending,
): Promise<Buffer | undefined> {
  let tar: number | undefined;
  let copier: RangeCopier | undefined;
  try {
    const bytes = readFileSync(indexPath);
    const index = new LayerIndex(diffId, bytes);
    tar = openSync(tarPath, 'r');
    const { size, blocks } = fstatSync(tar);
    const whole = size - END;
    const replaced: Replacement[] = [];
    for (const entry of entries) {
      const one = replacement(index, entry, tar);
      if (!one) return undefined;
      if (one !== 'same') replaced.push(one);
    }
    replaced.sort((a, b) => a.start - b.start);
    // The kernel would fill the holes of a sparse one.
    if (blocks * SECTOR >= size) copier = new RangeCopier(tar, writer.descriptor, path, aborted);
    let at = 0;
    if (copier && trail) {
      at = writer.resume(trail, replaced[0]?.start ?? 0);
      copier.copy(0, 0, at);
    }
    for (const { entry, start, end } of replaced) {
      if (start < at || end > whole || aborted() || !(await takeOver(tar, at, start - at, writer, copier)))
        return undefined;
      writer.add(entry);
      at = end;
    }
    if (!(await takeOver(tar, at, whole - at, writer, copier))) return undefined;
    await copier?.end();
    if (aborted()) throw new Error('aborted');
    amendIndex(bytes, index, replaced, writer.entries);
    return bytes;
  } catch (error) {
    if (error instanceof RangeError || errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  } finally {
    await copier?.giveUp();
    if (tar !== undefined) closeSync(tar);
  }
}

/** Brings LENGTH bytes from AT of the former tar into the new one, entries and all. False where there are fewer. */
function takeOver(
  tar: number,
  at: number,
  length: number,
  writer: LayerWriter,
  copier: RangeCopier | undefined,
): Promise<boolean> {
  if (!copier) return writer.take(length, readerOf(tar, at));
  copier.copy(at, writer.position, length);
  return writer.pass(length, readerOf(tar, at));
}

/**
 * Where ENTRY's like lies; `same` for a folder that is as it was: what it holds has changed, and nothing before that need be written
 * anew. Undefined where there is none, or not a plain one.
 */
function replacement(index: LayerIndex, entry: LayerEntry, tar: number): Replacement | 'same' | undefined {
  if (entry.type !== 'file' && entry.type !== 'directory') return undefined;
  const record = index.findPath(entry.path);
  const plain =
    record >= 0 &&
    index.type(record) === TypeCode[entry.type] &&
    index.hasOnlyFacts(record) &&
    entry.xattrs === undefined &&
    !entry.opaque;
  if (!plain) return undefined;
  const size = entry.type === 'file' ? index.contentSize(record) : 0;
  const header: TarHeader = {
    ...headerOf({
      path: entry.path,
      type: entry.type,
      mode: index.mode(record),
      uid: index.uid(record),
      gid: index.gid(record),
      mtime: index.mtime(record),
    }),
    size,
  };
  const expected = headerBytes(header);
  const content = index.offset(record);
  const start = content - expected.length;
  if (start < 0) return undefined;
  const there = Buffer.alloc(expected.length);
  if (readSync(tar, there, 0, there.length, start) !== there.length || !there.equals(expected)) return undefined;
  if (entry.type === 'directory' && headerBytes(headerOf(entry)).equals(expected)) return 'same';
  return { entry, record, start, end: content + size + paddingOf(size) };
}

/** Brings the bytes of an index up to date. WRITTEN: the entries that stand in the places of REPLACED, in this order. */
function amendIndex(bytes: Buffer, index: LayerIndex, replaced: readonly Replacement[], written: RawEntries): void {
  const ends = replaced.map(({ end }) => end);
  const shifts: number[] = [];
  for (const [i, { record, end }] of replaced.entries()) {
    const size = written.size(i);
    const contentEnd = written.offset(i) + size + paddingOf(size);
    shifts.push(contentEnd - end);
    const at = HEADER_SIZE + record * RECORD_SIZE;
    // The path and its place stay as they are.
    for (const field of [Field.mode, Field.uid, Field.gid]) written.record(i).copy(bytes, at + field, field, field + 4);
    written.record(i).copy(bytes, at + Field.size, Field.size, RECORD_SIZE);
  }
  if (shifts.every((shift) => shift === 0)) return;
  const own = new Set(replaced.map(({ record }) => record));
  /** Which replaced entry lies before a place of the former tar. */
  let before = -1;
  for (let record = 0; record < index.count; record++) {
    const offset = index.offset(record);
    if (offset === 0 || own.has(record)) continue;
    while (before + 1 < ends.length && (ends[before + 1] as number) <= offset) before++;
    while (before >= 0 && (ends[before] as number) > offset) before--;
    const shift = shifts[before];
    if (shift) bytes.writeDoubleLE(offset + shift, HEADER_SIZE + record * RECORD_SIZE + Field.offset);
  }
}
