/*
 * What is remembered of a context's files: a header (magic 8, count u32, bytes of the paths f64), records of fixed size, the paths, each
 * ended by NUL, in the order in which they were last asked for (a scan asks in the same order again, which makes finding them free), and
 * what was selected. All numbers are little-endian.
 */
export const MAGIC = 'strkdig5';
export const HEADER = 20;
export const RECORD = 80;

/** The offsets of a record's fields. */
export const Field = {
  /** f64 */
  size: 0,
  /** f64, milliseconds. */
  mtime: 8,
  ctime: 16,
  /** f64 */
  inode: 24,
  /** u32 */
  mode: 32,
  /** u16: by how many saves nobody has asked for it. */
  unseen: 36,
  /** u16 {@link Flag}. */
  flags: 38,
  /** 32 bytes, sha256 of the content. */
  digest: 40,
  /** u32 offset among the paths, u16. */
  path: 72,
  pathLength: 76,
} as const;

export const Flag = {
  /** It has a digest. */
  digest: 1,
  /** It has no extended attribute that goes into an image. */
  plain: 2,
  /** The modification time lies right before the second that its rounded number shows. */
  earlier: 4,
  /** The path is of ASCII's characters. */
  ascii: 8,
  /** It has a link's target, attributes or further names. */
  extras: 16,
} as const;
