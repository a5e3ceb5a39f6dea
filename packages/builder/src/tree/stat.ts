import { textOfBytes } from '@strake/core';
import type { EntryType } from '@strake/store';
import fs from 'node:fs';

import { fsPath } from './paths.js';

/** As in <sys/stat.h>. */
const S_IFMT = 0o170000;
const TYPES: Readonly<Record<number, EntryType>> = {
  0o100000: 'file',
  0o040000: 'directory',
  0o120000: 'symlink',
  0o020000: 'char',
  0o060000: 'block',
  0o010000: 'fifo',
  0o140000: 'file',
};

/** Whether a file's mode is that of a socket. */
export function isSocket(mode: number): boolean {
  return (mode & S_IFMT) === 0o140000;
}

/** The type in a file's mode. A socket, which has no place in an image, is an empty file in its stead, as in BuildKit. */
export function typeOf(mode: number): EntryType | undefined {
  return TYPES[mode & S_IFMT];
}

/** Whether a modification time that as a number of milliseconds is a whole second lies right before that second. */
export function isEarlier(path: string | Buffer, milliseconds: number): boolean {
  const exact = fs.lstatSync(path, { bigint: true, throwIfNoEntry: false })?.mtimeNs;
  return exact !== undefined && exact < BigInt(milliseconds) * 1_000_000n;
}

/** Equal for all names of a file, and for no two files: inodes of overlay file systems exceed what a number holds. */
export function fileIdentity(path: string | Buffer): string | undefined {
  const stat = fs.lstatSync(path, { bigint: true, throwIfNoEntry: false });
  return stat && `${stat.dev}:${stat.ino}`;
}

/** The facts that a remembered digest holds for. Times in milliseconds, as precise as a number is: a quarter of a microsecond. */
export interface FileStamp {
  readonly size: number;
  readonly mtime: number;
  readonly ctime: number;
  readonly inode: number;
  /** With the bits of the type. */
  readonly mode: number;
}

/** A file's facts, as the table has them. */
export function stampOf({
  size,
  mtimeMs: mtime,
  ctimeMs: ctime,
  ino: inode,
  mode,
}: Pick<fs.Stats, 'size' | 'mtimeMs' | 'ctimeMs' | 'ino' | 'mode'>): FileStamp {
  return { size, mtime, ctime, inode, mode };
}

/** What is at a path; undefined where nothing can be seen there. */
export function lstatNow(path: string | Buffer): fs.Stats | undefined {
  try {
    return fs.lstatSync(path, { throwIfNoEntry: false });
  } catch {
    return undefined;
  }
}

/** What a symbolic link says. */
export function readLink(path: string): string {
  return textOfBytes(fs.readlinkSync(fsPath(path), 'buffer'));
}

/** What a device node stands for. */
export interface DeviceNumbers {
  readonly major: number;
  readonly minor: number;
}

/** A device node that a file stands for where none can be made. */
export interface StatedDevice extends DeviceNumbers {
  readonly type: 'char' | 'block';
}

/** What lstat(2) would say of a device node in the place of a plain file, as Linux has these numbers: of 12 and 20 bits. */
export function asDevice(stat: fs.Stats, { type, major, minor }: StatedDevice): fs.Stats {
  if (!stat.isFile()) return stat;
  const mode = (type === 'char' ? 0o020000 : 0o060000) | (stat.mode & ~S_IFMT);
  const rdev = (minor & 0xff) + major * 0x100 + (minor >>> 8) * 0x100000;
  return Object.assign(stat, { mode, rdev, size: 0 });
}

/** glibc's major(3) and minor(3). */
export function deviceNumbers(device: bigint): DeviceNumbers {
  return {
    major: Number(((device >> 32n) & 0xfffff000n) | ((device >> 8n) & 0xfffn)),
    minor: Number(((device >> 12n) & 0xffffff00n) | (device & 0xffn)),
  };
}
