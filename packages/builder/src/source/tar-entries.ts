import { paxRecords, tarChecksumFits, tarNumber, tarText, textOfBytes, type ByteStream } from '@strake/core';

import { archiveTime } from '../copy/archive-time.js';

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
  /** Of a file; may be read in part, or not at all. */
  readonly content: AsyncIterable<Uint8Array>;
}

const TYPES: Readonly<Record<string, TarEntry['type']>> = {
  ...{ '\0': 'file', '0': 'file', '1': 'link', '2': 'symlink', '3': 'device', '4': 'device', '5': 'directory' },
  '6': 'fifo',
};

/**
 * The entries of a tar as Go reads them: of the oldest form too, ustar, PAX (global records say nothing), GNU's long names and
 * numbers. A content ends with the next entry.
 * @throws Error that says what is wrong; sparse files and unknown types are refused
 */
export async function* tarEntries(tar: ByteStream): AsyncGenerator<TarEntry> {
  const input = new Input(tar);
  try {
    for (;;) {
      const next = await nextHeader(input);
      if (!next) return await input.drain();
      const { size, ...entry } = next;
      input.open(size);
      yield { ...entry, content: input.content() };
      for await (const _ of input.content());
      await input.take((BLOCK - (size % BLOCK)) % BLOCK);
    }
  } finally {
    await input.close();
  }
}

/** The next header that is of an entry, with what the headers in front of it say of it. */
async function nextHeader(input: Input): Promise<(Omit<TarEntry, 'content'> & { size: number }) | undefined> {
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
      if (type === 'x') records = new Map(read);
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
): Omit<TarEntry, 'content'> & { size: number } {
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
  if (flag === 'S' || [...records.keys()].some((key) => key.startsWith('GNU.sparse.'))) {
    throw new Error('it is stored as a sparse file');
  }
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
    xattrs: xattrsOf(records),
    size: type === 'file' ? count('size', headerSize, Number.MAX_SAFE_INTEGER) : 0,
  };
}

function number(block: Buffer, at: number, length: number, what: string): number {
  const value = tarNumber(block, at, length);
  if (value === undefined || (value < 0 && what !== 'mtime')) throw new Error(`its ${what} is no proper number`);
  return value;
}

function secondsOf(record: string | undefined, header: number): number {
  if (record !== undefined && !/^-?\d{1,12}(\.\d*)?$/.test(record)) throw new Error('its mtime is no proper number');
  return archiveTime(record === undefined ? header : Math.floor(Number(record)));
}

function xattrsOf(records: ReadonlyMap<string, Buffer>): Record<string, string> | undefined {
  const named = [...records].filter(([key]) => key.startsWith('SCHILY.xattr.'));
  if (named.length === 0) return undefined;
  // With a null prototype `__proto__` is a name like any other.
  const xattrs = Object.create(null) as Record<string, string>;
  for (const [key, value] of named) xattrs[key.slice('SCHILY.xattr.'.length)] = value.toString('latin1');
  return xattrs;
}

/** The bytes of a tar, taken as they are asked for. */
class Input {
  readonly #chunks: AsyncIterator<Uint8Array>;
  #rest = new Uint8Array(0);
  #content = 0;

  constructor(bytes: ByteStream) {
    this.#chunks = bytes[Symbol.asyncIterator]();
  }

  async close(): Promise<void> {
    await this.#chunks.return?.();
  }

  /** The next header; undefined at the end: two empty blocks, or no more bytes. */
  async block(): Promise<Buffer | undefined> {
    for (let empty = 0; empty < 2; empty++) {
      if (!(await this.#fill())) return undefined;
      const block = Buffer.from(await this.take(BLOCK));
      if (block.some((byte) => byte !== 0)) {
        if (empty > 0 || !tarChecksumFits(block)) throw new Error('it is damaged, or no tar at all');
        return block;
      }
    }
    return undefined;
  }

  /** COUNT bytes. */
  async take(count: number): Promise<Uint8Array> {
    const parts: Uint8Array[] = [];
    for (let missing = count; missing > 0;) {
      if (!(await this.#fill())) throw new Error('it is cut short');
      const part = this.#rest.subarray(0, missing);
      this.#rest = this.#rest.subarray(part.length);
      missing -= part.length;
      parts.push(part);
    }
    return parts.length === 1 && parts[0] ? parts[0] : Buffer.concat(parts);
  }

  /** Says how long the content is that comes next. */
  open(size: number): void {
    this.#content = size;
  }

  /** What was not yet read of the content. */
  async *content(): AsyncGenerator<Uint8Array> {
    while (this.#content > 0) {
      if (!(await this.#fill())) throw new Error('it is cut short');
      const part = this.#rest.subarray(0, this.#content);
      this.#rest = this.#rest.subarray(part.length);
      this.#content -= part.length;
      yield part;
    }
  }

  /** Reads what follows the end: only then it is known that nothing is missing of a compressed tar. */
  async drain(): Promise<void> {
    while (await this.#fill()) this.#rest = new Uint8Array(0);
  }

  /** Whether there is another byte. */
  async #fill(): Promise<boolean> {
    while (this.#rest.length === 0) {
      const next = await this.#chunks.next();
      if (next.done) return false;
      this.#rest = next.value as Uint8Array<ArrayBuffer>;
    }
    return true;
  }
}
