import { tarNumber } from '@strake/core';

const BLOCK = 512;
const REAL_SIZE = 483;
/** Where the map begins, how many pieces it has, and where it says that it goes on: in the header, and in the blocks behind it. */
const IN_HEADER = { at: 386, pieces: 4, more: 482 };
const BEHIND = { at: 0, pieces: 21, more: 504 };

/** Whether BYTES begin with the header of a file that is sparse in GNU's old form. */
export function isOldSparse(bytes: Buffer): boolean {
  return bytes[156] === 0x53;
}

/**
 * Whether the map is sound of the file that BYTES begin with, sparse in GNU's old form, as Go's archive/tar asks of it: pieces in
 * order, within the file's size.
 * @returns 'more' where the map goes on behind BYTES
 */
export function oldSparseMap(bytes: Buffer): 'sound' | 'malformed' | 'more' {
  if (bytes.toString('latin1', 257, 265) !== 'ustar  \0') return 'malformed';
  const size = tarNumber(bytes, REAL_SIZE, 12);
  if (size === undefined || size < 0) return 'malformed';
  let end = 0;
  let form = IN_HEADER;
  for (let block = 0; ; block += BLOCK) {
    if (bytes.length < block + BLOCK) return 'more';
    for (let piece = 0; piece < form.pieces; piece++) {
      const at = block + form.at + 24 * piece;
      if (bytes[at] === 0) break;
      const offset = tarNumber(bytes, at, 12);
      const length = tarNumber(bytes, at + 12, 12);
      if (offset === undefined || length === undefined || offset < end || length < 0) return 'malformed';
      end = offset + length;
      if (end > size) return 'malformed';
    }
    if (!bytes[block + form.more]) return 'sound';
    form = BEHIND;
  }
}
