import { SystemCallError } from './errors.js';
import { callLibc } from './libc.js';
import { nativePath } from './native-path.js';

const OPENAT2 = 437;

/** Flags of openat2(2) that Node has no constants for. */
export const OpenFlag = {
  directory: 0o200000,
  nofollow: 0o400000,
  closeOnExec: 0o2000000,
  /** Only a handle for the path: nothing is opened, no permission on the file itself is needed, fifos and devices do nothing. */
  path: 0o10000000,
} as const;

/** `resolve` of openat2(2): how a path may be walked. */
export const ResolveFlag = {
  /** No crossing of mount points. */
  noMounts: 1,
  /** No links like those of /proc/PID/fd. */
  noMagicLinks: 2,
  noSymlinks: 4,
  /** Nothing outside the folder that the walk starts at; absolute links and `..` beyond it are errors. */
  beneath: 8,
  /** The folder that the walk starts at is the root: absolute links and `..` stay inside. */
  inRoot: 16,
} as const;

/**
 * openat2(2): opens PATH relative to the folder FOLDER (a descriptor) with {@link OpenFlag} and open(2) FLAGS, walking it as
 * RESOLVE ({@link ResolveFlag}) says. The descriptor is closed on exec.
 * @throws SystemCallError; `ENOSYS` before Linux 5.6, `ELOOP` and `EXDEV` where the walk is not allowed
 */
export function openAt2(folder: number, path: string, flags: number, resolve: number, mode = 0): number {
  const how = Buffer.alloc(24);
  how.writeBigUInt64LE(BigInt(flags | OpenFlag.closeOnExec), 0);
  how.writeBigUInt64LE(BigInt(mode), 8);
  how.writeBigUInt64LE(BigInt(resolve), 16);
  const prototype = 'long syscall(long nr, long fd, const char *path, const uint8_t *how, uint64_t size)';
  return callLibc('openat2', path, prototype, OPENAT2, folder, path, how, how.length);
}

/** pipe2(2) with O_CLOEXEC: the descriptors of the reading and the writing end. @throws SystemCallError */
export function makePipe(): { readonly read: number; readonly write: number } {
  const fds = Buffer.alloc(8);
  callLibc('pipe2', undefined, 'int pipe2(_Out_ uint8_t *fds, int flags)', fds, OpenFlag.closeOnExec);
  return { read: fds.readInt32LE(0), write: fds.readInt32LE(4) };
}

/** The magic number (`f_type` of statfs(2)) of the file system that holds PATH: 0x01021994 tmpfs, 0x63677270 cgroup2. @throws SystemCallError */
export function fileSystemType(path: string): number {
  const result = Buffer.alloc(256);
  callLibc('statfs', path, 'int statfs(const char *path, _Out_ uint8_t *result)', path, result);
  return Number(result.readBigUInt64LE(0));
}

/** Times of a file in nanoseconds since 1970, exactly: Node's are doubles of seconds (utimensat(2)). PATH's last link is followed. @throws SystemCallError */
export function setTimes(path: string, accessed: bigint, modified: bigint): void {
  const times = Buffer.alloc(32);
  [accessed, modified].forEach((time, i) => {
    times.writeBigInt64LE(time / 1_000_000_000n, i * 16);
    times.writeBigInt64LE(time % 1_000_000_000n, i * 16 + 8);
  });
  const prototype = 'int utimensat(int folder, const char *path, const uint8_t *times, int flags)';
  callLibc('utimensat', path, prototype, -100, nativePath(path), times, 0);
}

const FICLONE = 0x40049409;

/** Makes TO (a descriptor) share FROM's content on disk until one is written (ioctl FICLONE). False where the file system cannot. */
export function cloneFile(from: number, to: number): boolean {
  try {
    callLibc('ioctl', undefined, 'int ioctl(int fd, uint64_t request, int64_t value)', to, FICLONE, from);
    return true;
  } catch (error) {
    if (error instanceof SystemCallError) return false;
    throw error;
  }
}
