import { textOfBytes } from '@strake/core';
import type { Segments } from '@strake/store';

const BLOCK = 512;
/** Bytes of a map at most, as in Go. In extended headers it has no more anyway. */
const LONGEST_MAP = 1 << 20;

/** What a sparse file is, besides the bytes that are stored of it. */
export interface SparseFile {
  /** Where the map has one. */
  readonly name: string | undefined;
  /** With its holes. */
  readonly size: number;
  /** Where its pieces belong, in order: offset and length, none of them empty. All else is holes. */
  readonly pieces: Segments;
}

/**
 * The records of a PAX header by key. GNU's format 0.0 has a record for each number of a map; together they are the one record of 0.1.
 * @throws Error where those are out of order
 */
export function sparseRecords(records: readonly (readonly [key: string, value: Buffer])[]): Map<string, Buffer> {
  const known = new Map<string, Buffer>();
  const numbers: string[] = [];
  for (const [key, value] of records) {
    if (key !== 'GNU.sparse.offset' && key !== 'GNU.sparse.numbytes') {
      known.set(key, value);
      continue;
    }
    const expected = numbers.length % 2 === 0 ? 'GNU.sparse.offset' : 'GNU.sparse.numbytes';
    if (key !== expected || value.includes(',')) throw malformed('its numbers are out of order');
    numbers.push(value.toString('latin1'));
  }
  if (numbers.length > 0) known.set('GNU.sparse.map', Buffer.from(numbers.join(','), 'latin1'));
  return known;
}

/**
 * Tells from a PAX header's records whether a file is sparse in one of GNU's formats 0.0, 0.1 and 1.0, and reads its map, by the rules
 * of Go's archive/tar: pieces in order, within the file, and as many bytes as are stored.
 * @param stored bytes of the file in the tar
 * @param block takes the next block off these; the map of format 1.0 stands in front of the pieces
 * @returns undefined where it is not sparse, or in a format that nobody knows
 * @throws Error that says what is wrong
 */
export async function readSparse(
  records: ReadonlyMap<string, Buffer>,
  stored: number,
  block: () => Promise<Uint8Array>,
): Promise<SparseFile | undefined> {
  const record = (key: string): string | undefined => {
    const value = records.get(`GNU.sparse.${key}`);
    return value === undefined || value.length === 0 ? undefined : textOfBytes(value);
  };
  const format = formatOf(record);
  if (!format) return undefined;
  const stated = record('size') ?? record('realsize');
  const size = stated === undefined ? stored : integer(stated, 'its size');
  if (size < 0) throw malformed('its size is negative');
  const { numbers, blocks } =
    format === '1' ? await mapInFront(block) : { numbers: mapOfRecords(record('numblocks'), record('map')), blocks: 0 };
  const pieces = checkedPieces(numbers, size);
  const bytes = pieces.reduce((sum, [, length]) => sum + length, 0);
  if (bytes !== stored - blocks * BLOCK) throw malformed('it does not fit what is stored of the file');
  return { name: record('name'), size, pieces };
}

/** Which way the map is stored; where no version is stated, a map stands for 0.1. */
function formatOf(record: (key: string) => string | undefined): '0' | '1' | undefined {
  const [major, minor] = [record('major'), record('minor')];
  if (major === '0' && (minor === '0' || minor === '1')) return '0';
  if (major === '1' && minor === '0') return '1';
  return major === undefined && minor === undefined && record('map') !== undefined ? '0' : undefined;
}

function mapOfRecords(count: string | undefined, map: string | undefined): number[] {
  const texts = map === undefined ? [] : map.split(',');
  if (texts.length !== 2 * integer(count ?? '', 'its count of pieces'))
    throw malformed('it has not as many pieces as it says');
  return texts.map((text) => integer(text, 'a number'));
}

/** Reads a map of format 1.0: numbers, a line each, of which the first is the count of pieces, in as many blocks as they take. */
async function mapInFront(block: () => Promise<Uint8Array>): Promise<{ numbers: number[]; blocks: number }> {
  const numbers: number[] = [];
  let expected: number | undefined;
  let begun = '';
  for (let blocks = 1; ; blocks++) {
    if (blocks * BLOCK > LONGEST_MAP) throw malformed('it is too long');
    const lines = (begun + Buffer.from(await block()).toString('latin1')).split('\n');
    begun = lines.pop() ?? '';
    if (begun.length > BLOCK) throw malformed('a number is too long');
    for (const line of lines) {
      if (numbers.length === expected) break;
      if (expected === undefined) expected = 2 * integer(line, 'its count of pieces');
      else numbers.push(integer(line, 'a number'));
      if (expected < 0) throw malformed('its count of pieces is negative');
    }
    if (numbers.length === expected) return { numbers, blocks };
  }
}

function checkedPieces(numbers: readonly number[], size: number): [number, number][] {
  const pieces: [number, number][] = [];
  let end = 0;
  for (let i = 0; i < numbers.length; i += 2) {
    const [at, length] = [numbers[i] as number, numbers[i + 1] as number];
    if (at < 0 || length < 0) throw malformed('a number is negative');
    if (at < end) throw malformed('its pieces overlap, or are not in order');
    end = at + length;
    if (end > size) throw malformed('a piece goes beyond the end of the file');
    if (length > 0) pieces.push([at, length]);
  }
  return pieces;
}

/** A whole number as Go's `ParseInt` takes it; such that are not exact here are those of no file. */
function integer(text: string, what: string): number {
  const value = /^[+-]?\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(value)) throw malformed(`${what} is no proper number`);
  return value;
}

function malformed(why: string): Error {
  return new Error(`the map of a sparse file is malformed: ${why}`);
}
