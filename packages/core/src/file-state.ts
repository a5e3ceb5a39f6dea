import type { Stats } from 'node:fs';

/** What lstat(2) says of a path, as far as anything can depend on it: who changes the file changes one of these. Times in milliseconds. */
export type FileState = readonly [
  size: number,
  modified: number,
  changed: number,
  inode: number,
  mode: number,
  device: number,
];

export function fileState(stats: Pick<Stats, 'size' | 'mtimeMs' | 'ctimeMs' | 'ino' | 'mode' | 'dev'>): FileState {
  return [stats.size, stats.mtimeMs, stats.ctimeMs, stats.ino, stats.mode, stats.dev];
}

/**
 * What stays of a file while only its times are set: one that is written anew under the same name has another. Undefined where the
 * file system does not know when a file was made.
 */
export type FileIdentity = readonly [inode: number, made: number, size: number];

export function fileIdentity(stats: Pick<Stats, 'ino' | 'birthtimeMs' | 'size'>): FileIdentity | undefined {
  return stats.birthtimeMs > 0 ? [stats.ino, stats.birthtimeMs, stats.size] : undefined;
}
