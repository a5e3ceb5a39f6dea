import { paxRecords, tarNumber, tarText, textOfBytes, type ByteStream } from '@strake/core';

import { archiveTime } from '../copy/archive-time.js';
import type { StatedDevice } from '../tree/stat.js';
import { readSparse, sparseRecords, type SparseFile } from './pax-sparse.js';
import { TarInput } from './tar-input.js';

const BLOCK = 512;
/** Extended headers and long names beyond these are refused: they are kept in memory. */
const LONGEST_EXTENSION = 1 << 20;
const MAX_ID = 0xfffffffe;
const NO_RECORDS: ReadonlyMap<string, Buffer> = new Map();

/** An entry of a tar as the tar states it: its name and link may hold `..` or begin with a slash. */
export interface TarEntry {
  readonly name: string;
  readonly type: 'file' | 'directory' | 'symlink' | 'link' | 'fifo' | 'device';
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Seconds since 1970. */
  readonly mtime: number;
  readonly link: string;
  /** Values as latin1 text. */
  readonly xattrs: Readonly<Record<string, string>> | undefined;
  readonly device?: StatedDevice | undefined;
  /** Of a sparse file: where the pieces belong that its content is made of. */
  readonly sparse?: SparseFile | undefined;
  /** Of a file; may be read in part, or not at all. */
  readonly content: AsyncIterable<Uint8Array>;
}

/** Of an entry, with those in front of it. */
interface Header extends Omit<TarEntry, 'content' | 'sparse'> {
  /** Of what is stored. */
  readonly size: number;
  readonly records: ReadonlyMap<string, Buffer>;
}

const TYPES: Readonly<Record<string, TarEntry['type']>> = {
  ...{ '\0': 'file', '0': 'file', '1': 'link', '2': 'symlink', '3': 'device', '4': 'device', '5': 'directory' },
  '6': 'fifo',
};

/**
 * The entries of a tar as Go reads them: of the oldest form too, ustar, PAX (global records say nothing), GNU's long names and
 * numbers. A content ends with the next entry.
 * @throws Error that says what is wrong; sparse files of GNU's old form and unknown types are refused
 */
export async function* tarEntries(tar: ByteStream): AsyncGenerator<TarEntry> {
  const input = new TarInput(tar);
  try {
    for (;;) {
      const next = await nextHeader(input);
      if (!next) return await input.drain();
      const { size, records, ...entry } = next;
      input.open(size);
      const sparse = await readSparse(records, size, () => input.takeContent(BLOCK));
      if (sparse && entry.type !== 'file') throw new Error('it is sparse, but no file');
      yield { ...entry, ...(sparse && { name: sparse.name ?? entry.name, sparse }), content: input.content() };
      for await (const _ of input.content());
      await input.take((BLOCK - (size % BLOCK)) % BLOCK);
    }
  } finally {
    await input.close();
  }
}

/** The next header that is of an entry, with what the headers in front of it say of it. */
async function nextHeader(input: TarInput): Promise<Header | undefined> {
  let records = NO_RECORDS;
  let [longName, longLink]: (Buffer | undefined)[] = [];
  for (;;) {
    const block = await input.block();
    if (!block) return undefined;
    const type = String.fromCharCode(block[156] ?? 0);
    const size = number(block, 124, 12, 'size');
    if (type !== 'x' && type !== 'g' && type !== 'L' && type !== 'K') {
      return entryOf(block, type, size, records, longName, longLink);
    }
    if (size > LONGEST_EXTENSION) throw new Error('a name or an extended header is too long');
    const body = Buffer.from(await input.take(size));
    await input.take((BLOCK - (size % BLOCK)) % BLOCK);
    if (type === 'L') longName = tarText(body, 0, size);
    else if (type === 'K') longLink = tarText(body, 0, size);
    else {
      const read = paxRecords(body);
      if (typeof read === 'string') throw new Error(`an extended (PAX) header is malformed: ${read}`);
      const known = sparseRecords(read);
      if (type === 'x') records = known;
    }
  }
}

function entryOf(
  block: Buffer,
  flag: string,
  headerSize: number,
  records: ReadonlyMap<string, Buffer>,
  longName: Buffer | undefined,
  longLink: Buffer | undefined,
): Header {
  const record = (key: string): string | undefined => {
    const value = records.get(key);
    return value === undefined || value.length === 0 ? undefined : textOfBytes(value);
  };
  const count = (key: string, otherwise: number, most: number): number => {
    const text = record(key) ?? String(otherwise);
    if (!/^\d{1,16}$/.test(text) || Number(text) > most) throw new Error(`its ${key} is no proper number`);
    return Number(text);
  };
  const prefix = block.toString('latin1', 257, 263) === 'ustar\0' ? tarText(block, 345, 155) : Buffer.alloc(0);
  const shortName = tarText(block, 0, 100);
  const ownName = prefix.length > 0 ? Buffer.concat([prefix, Buffer.from('/'), shortName]) : shortName;
  const name = record('path') ?? textOfBytes(longName ?? ownName);
  if (flag === 'S') throw new Error("it is stored as a sparse file in GNU's old form, not in that of PAX");
  const known = TYPES[flag];
  if (!known) throw new Error('it is of a type that is not known');
  // In tars of the oldest form a folder is a file whose name has a slash at its end.
  const type = flag === '\0' && name.endsWith('/') ? 'directory' : known;
  return {
    name,
    type,
    mode: number(block, 100, 8, 'mode') & 0o7777,
    uid: count('uid', number(block, 108, 8, 'uid'), MAX_ID),
    gid: count('gid', number(block, 116, 8, 'gid'), MAX_ID),
    mtime: secondsOf(record('mtime'), number(block, 136, 12, 'mtime')),
    link: record('linkpath') ?? textOfBytes(longLink ?? tarText(block, 157, 100)),
    xattrs: xattrsOf(records, type),
    ...(type === 'device' && { device: deviceOf(block, flag) }),
    size: type === 'file' ? count('size', headerSize, Number.MAX_SAFE_INTEGER) : 0,
    records,
  };
}

function number(block: Buffer, at: number, length: number, what: string): number {
  const value = tarNumber(block, at, length);
  if (value === undefined || (value < 0 && what !== 'mtime')) throw new Error(`its ${what} is no proper number`);
  return value;
}

/** Its numbers are such as Linux can have: of 12 and 20 bits. The oldest form of a tar has no fields for them. */
function deviceOf(block: Buffer, flag: string): StatedDevice {
  const type = flag === '3' ? 'char' : 'block';
  if (block.toString('latin1', 257, 262) !== 'ustar') return { type, major: 0, minor: 0 };
  const [major, minor] = [number(block, 329, 8, 'device number'), number(block, 337, 8, 'device number')];
  if (major > 0xfff || minor > 0xfffff) throw new Error('its device number is out of range');
  return { type, major, minor };
}

function secondsOf(record: string | undefined, header: number): number {
  if (record !== undefined && !/^-?\d{1,12}(\.\d*)?$/.test(record)) throw new Error('its mtime is no proper number');
  return archiveTime(record === undefined ? header : Math.floor(Number(record)));
}

/**
 * Those of users are for files and folders alone: the kernel gives no others any, so an image with them could not be unpacked.
 * A link's are all there, as they count for what it links to.
 */
function xattrsOf(records: ReadonlyMap<string, Buffer>, type: TarEntry['type']): Record<string, string> | undefined {
  const prefix = 'SCHILY.xattr.';
  const hidden = ['file', 'directory', 'link'].includes(type) ? undefined : `${prefix}user.`;
  const named = [...records].filter(([key]) => key.startsWith(prefix) && !(hidden && key.startsWith(hidden)));
  if (named.length === 0) return undefined;
  // With a null prototype `__proto__` is a name like any other.
  const xattrs = Object.create(null) as Record<string, string>;
  for (const [key, value] of named) xattrs[key.slice(prefix.length)] = value.toString('latin1');
  return xattrs;
}
