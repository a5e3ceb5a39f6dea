import { bytesOfText } from '@strake/core';

/** POSIX type flags, pax(1). */
export const TarType = {
  file: '0',
  hardlink: '1',
  symlink: '2',
  char: '3',
  block: '4',
  directory: '5',
  fifo: '6',
  pax: 'x',
} as const;

export const BLOCK = 512;
/** The largest numbers of the octal fields: mode, uid, gid and device numbers have 7 digits, size and mtime 11. */
const MAX_7 = 0o7777777;
const MAX_11 = 0o77777777777;
const LOW_DIGITS = 10;
const LOW = 8 ** LOW_DIGITS;

/** One entry's header. Size is that of what follows in the tar. */
export interface TarHeader {
  /** As it stands in the tar: folders with a slash at the end. */
  readonly name: string;
  /** One of {@link TarType}. */
  readonly type: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly mtime: number;
  readonly link?: string | undefined;
  readonly device?: { readonly major: number; readonly minor: number } | undefined;
  /** Values as latin1 text. */
  readonly xattrs?: Readonly<Record<string, string>> | undefined;
  /** Further PAX records. */
  readonly records?: readonly (readonly [string, string])[] | undefined;
}

/** Bytes up to the next multiple of a block. */
export function paddingOf(size: number): number {
  return (BLOCK - (size % BLOCK)) % BLOCK;
}

/** Writes VALUE in octal digits, and returns the sum of their bytes. */
function octal(target: Buffer, at: number, digits: number, value: number): number {
  // Bits are fast, and hold 30 of the 33 that there may be.
  const low = value % LOW;
  const high = (value - low) / LOW;
  let sum = digits * 0x30;
  for (let i = 0; i < digits; i++) {
    const digit = (i < LOW_DIGITS ? low >>> (3 * i) : high >>> (3 * (i - LOW_DIGITS))) & 7;
    target[at + digits - 1 - i] = 0x30 + digit;
    sum += digit;
  }
  return sum;
}

/** Writes TEXT, or latin1 text, and returns the sum of its bytes. */
function put(target: Buffer, at: number, text: string | Uint8Array): number {
  let sum = 0;
  if (typeof text !== 'string') {
    target.set(text, at);
    for (const byte of text) sum += byte;
    return sum;
  }
  for (let i = 0; i < text.length; i++) sum += target[at + i] = text.charCodeAt(i);
  return sum;
}

const USTAR = 'ustar\x0000';
/** The checksum's own field counts as blanks. */
const CHECKSUM_BLANKS = 8 * 0x20;

/** The 512 bytes of a ustar header: everything must fit. The checksum is added up on the way: most of a header is zeros. */
function writeBlock(
  target: Buffer,
  at: number,
  header: TarHeader,
  name: string | Uint8Array,
  prefix: string,
  link: string | Uint8Array,
): void {
  const { mode, uid, gid, size, mtime, device } = header;
  target.fill(0, at, at + BLOCK);
  let sum = CHECKSUM_BLANKS + put(target, at, name);
  sum += octal(target, at + 100, 7, mode);
  sum += octal(target, at + 108, 7, uid > MAX_7 ? 0 : uid);
  sum += octal(target, at + 116, 7, gid > MAX_7 ? 0 : gid);
  sum += octal(target, at + 124, 11, size > MAX_11 ? 0 : size);
  sum += octal(target, at + 136, 11, mtime < 0 || mtime > MAX_11 ? 0 : mtime);
  sum += put(target, at + 156, header.type);
  sum += put(target, at + 157, link);
  sum += put(target, at + 257, USTAR);
  if (device) sum += octal(target, at + 329, 7, device.major) + octal(target, at + 337, 7, device.minor);
  sum += put(target, at + 345, prefix);
  octal(target, at + 148, 6, sum);
  target[at + 155] = 0x20;
}

/** Where NAME can be cut into ustar's prefix (155 bytes) and name (100 bytes), or -1. */
function splitAt(name: string): number {
  const cut = name.indexOf('/', name.length - 101);
  return cut > 0 && cut <= 155 && cut < name.length - 1 ? cut : -1;
}

/** Whether TEXT is of ASCII's printable characters. */
const isAscii = (text: string): boolean => !/[^ -~]/.test(text);

/** Writes HEADER at AT where it fits into one ustar block; false where it needs {@link longHeader}. */
export function writePlainHeader(target: Buffer, at: number, header: TarHeader): boolean {
  const { name, link = '', uid, gid, size, mtime } = header;
  if (uid > MAX_7 || gid > MAX_7 || size > MAX_11 || mtime < 0 || mtime > MAX_11) return false;
  if (header.xattrs || header.records || link.length > 100 || !isAscii(name) || !isAscii(link)) return false;
  if (name.length <= 100) {
    writeBlock(target, at, header, name, '', link);
    return true;
  }
  const cut = splitAt(name);
  if (cut < 0) return false;
  writeBlock(target, at, header, name.slice(cut + 1), name.slice(0, cut), link);
  return true;
}

/** A PAX record: its own length in decimal, a blank, key=value, a newline. */
function paxRecord(key: string, value: Uint8Array): Buffer {
  const rest = Buffer.concat([Buffer.from(` ${key}=`, 'utf8'), value, Buffer.from('\n')]);
  let length = rest.length + 1;
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
  return Buffer.concat([Buffer.from(String(length)), rest]);
}

/** An extended header and the header itself, for what ustar cannot say: long or foreign names, large numbers, attributes. */
export function longHeader(header: TarHeader): Buffer {
  const records: [string, Uint8Array][] = [];
  const text = (key: string, value: string | number): number => records.push([key, Buffer.from(String(value), 'utf8')]);
  const name = bytesOfText(header.name);
  const link = bytesOfText(header.link ?? '');
  if (name.length > 100 || !isAscii(header.name)) records.push(['path', name]);
  if (link.length > 100 || !isAscii(header.link ?? '')) records.push(['linkpath', link]);
  if (header.uid > MAX_7) text('uid', header.uid);
  if (header.gid > MAX_7) text('gid', header.gid);
  if (header.size > MAX_11) text('size', header.size);
  if (header.mtime < 0 || header.mtime > MAX_11) text('mtime', header.mtime);
  for (const [key, value] of header.records ?? []) records.push([key, bytesOfText(value)]);
  for (const key of Object.keys(header.xattrs ?? {}).sort()) {
    records.push([`SCHILY.xattr.${key}`, Buffer.from(header.xattrs?.[key] ?? '', 'latin1')]);
  }
  records.sort(([a], [b]) => (a < b ? -1 : 1));
  const body = Buffer.concat(records.map(([key, value]) => paxRecord(key, value)));
  const extended = BLOCK + body.length + paddingOf(body.length);
  const bytes = Buffer.alloc(extended + BLOCK);
  const pax = { name: '', type: TarType.pax, mode: 0o644, uid: 0, gid: 0, size: body.length, mtime: 0 };
  writeBlock(bytes, 0, pax, '././@PaxHeader', '', '');
  bytes.set(body, BLOCK);
  // What a reader without PAX sees: names cut off, as GNU tar and Python do it.
  writeBlock(bytes, extended, header, name.subarray(0, 100), '', link.subarray(0, 100));
  return bytes;
}

/** The bytes of an entry's header, whatever it needs. */
export function headerBytes(header: TarHeader): Buffer {
  const block = Buffer.alloc(BLOCK);
  return writePlainHeader(block, 0, header) ? block : longHeader(header);
}
