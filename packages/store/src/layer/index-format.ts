import type { EntryType } from '../entries.js';

/*
 * The index of a layer: a header, one record of fixed size for each path, sorted by key, and a heap of keys and extras.
 * All numbers are little-endian. A key is the path with NUL for `/`: by plain byte order each folder is then followed by
 * all that it holds. The root's key is empty; it and all parents always have a record.
 */
export const INDEX_MAGIC = 'strkidx1';
/** magic 8, count u32, flags u32, heap size f64; the rest is zero. */
export const HEADER_SIZE = 64;
/** The offsets of a record's fields. */
export const Field = {
  /** u32 offset in the heap, u16 length. */
  key: 0,
  keyLength: 4,
  /** u8 {@link TypeCode}. */
  type: 6,
  /** u8 {@link Flag}. */
  flags: 7,
  /** u16 */
  mode: 8,
  /** u32 */
  uid: 12,
  gid: 16,
  /** u32, u32: JSON of {@link Extra} in the heap; length 0 where there is none. */
  extra: 20,
  extraLength: 24,
  /** u32: the record of the first of several names of a file, or {@link NONE}. */
  firstName: 28,
  /** f64 */
  size: 32,
  mtime: 40,
  /** f64: where the content starts in the tar. */
  offset: 48,
  /** 32 bytes, sha256 of the content. */
  digest: 56,
} as const;
export const RECORD_SIZE = 88;
export const NONE = 0xffffffff;

/** A `hardlink` in an index has its target in a layer below: links within the layer are resolved when the index is made. */
export const TypeCode = {
  file: 0,
  directory: 1,
  symlink: 2,
  hardlink: 3,
  char: 4,
  block: 5,
  fifo: 6,
  whiteout: 7,
} as const;
export const TYPE_NAMES: readonly EntryType[] = ['file', 'directory', 'symlink', 'hardlink', 'char', 'block', 'fifo'];

export const Flag = {
  /** A folder that the tar has no entry for. */
  implied: 1,
  /** Hides what the layers below have in this folder. */
  opaque: 2,
  /** An implied folder that holds nothing but whiteouts: it is there only where a layer below has it. */
  ghost: 4,
} as const;

export const IndexFlag = {
  /** Folders are missing in the tar: their facts come from the layers below. */
  implied: 1,
  /** Hard links lead to layers below. */
  external: 2,
  /** The layer hides all layers below. */
  opaqueRoot: 4,
  /** There are whiteouts: overlayfs shows those that hide nothing, so unpacking must know what there is to hide. */
  whiteouts: 8,
} as const;

/** What few entries have. */
export interface Extra {
  /** A symlink's target as written; a `hardlink`'s as a path. */
  link?: string | undefined;
  device?: { major: number; minor: number } | undefined;
  xattrs?: Record<string, string> | undefined;
  /** Pieces of a sparse file: position and length of each, stored one after the other from `offset`. */
  segments?: [number, number][] | undefined;
}

/** The key of a path. */
export function keyOf(path: Buffer): Buffer {
  const key = Buffer.from(path);
  for (let at = key.indexOf(0x2f); at >= 0; at = key.indexOf(0x2f, at + 1)) key[at] = 0;
  return key;
}
