import { callLibc } from './libc.js';
import { nativePath } from './native-path.js';

/** File types of mknod(2). */
export const FileType = { fifo: 0o010000, char: 0o020000, block: 0o060000, socket: 0o140000 } as const;

/** glibc's makedev(3). */
export function makeDevice(major: number, minor: number): bigint {
  const [a, b] = [BigInt(major), BigInt(minor)];
  return ((a & 0xfffff000n) << 32n) | ((a & 0xfffn) << 8n) | ((b & 0xffffff00n) << 12n) | (b & 0xffn);
}

/** The numbers of a device as lstat's `rdev` holds them: glibc's major(3) and minor(3). */
export function splitDevice(device: number | bigint): { major: number; minor: number } {
  const d = BigInt(device);
  return {
    major: Number(((d >> 32n) & 0xfffff000n) | ((d >> 8n) & 0xfffn)),
    minor: Number(((d >> 12n) & 0xffffff00n) | (d & 0xffn)),
  };
}

/** mknod(2); MODE is a {@link FileType} with permission bits, subject to the umask. @throws SystemCallError */
export function makeNode(path: string, mode: number, major = 0, minor = 0): void {
  callLibc(
    'mknod',
    path,
    'int mknod(const char *path, uint32_t mode, uint64_t dev)',
    nativePath(path),
    mode,
    makeDevice(major, minor),
  );
}
