import fs from 'node:fs';

import { SystemCallError } from './errors.js';
import { callLibc } from './libc.js';

/** Of `<linux/fs.h>`; the size in the number is that of a long, though the kernel reads and writes an int. */
const FS_IOC_GETFLAGS = 0x80086601;
const FS_IOC_SETFLAGS = 0x40086602;
/** chattr(1)'s T, "the top of directory hierarchies". */
const FS_TOPDIR_FL = 0x20000;

/**
 * Tells ext4 that the folders in FOLDER have nothing to do with each other: it then puts each into a part of the disk that is
 * little used, not beside its neighbours (chattr(1), attribute T). Other file systems have no such thing: nothing happens.
 * @throws SystemCallError where FOLDER is another user's
 */
export function spreadSubfolders(folder: string): void {
  const fd = fs.openSync(folder, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY);
  try {
    const flags = Buffer.alloc(8);
    const call = (request: number): number =>
      callLibc('ioctl', folder, 'int ioctl(int fd, uint64_t request, _Inout_ uint8_t *flags)', fd, request, flags);
    call(FS_IOC_GETFLAGS);
    const set = flags.readUInt32LE(0);
    if ((set & FS_TOPDIR_FL) !== 0) return;
    flags.writeUInt32LE((set | FS_TOPDIR_FL) >>> 0, 0);
    call(FS_IOC_SETFLAGS);
  } catch (error) {
    if (!(error instanceof SystemCallError && UNKNOWN.has(error.code))) throw error;
  } finally {
    fs.closeSync(fd);
  }
}

/** What file systems say that have no flags, or not this one. */
const UNKNOWN: ReadonlySet<string> = new Set(['ENOTTY', 'ENOTSUP', 'EOPNOTSUPP', 'EINVAL', 'ENOSYS', 'EPERM']);
