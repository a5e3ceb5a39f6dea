import { SystemCallError } from './errors.js';
import { callLibc } from './libc.js';
import { nativePath } from './native-path.js';

const LIST = 'int64_t llistxattr(const char *path, uint8_t *list, uint64_t size)';
const GET = 'int64_t lgetxattr(const char *path, const char *name, _Out_ uint8_t *value, uint64_t size)';
const SET = 'int lsetxattr(const char *path, const char *name, const uint8_t *value, uint64_t size, int flags)';
const LIST_OPEN = 'int64_t flistxattr(int fd, uint8_t *list, uint64_t size)';
const REMOVE = 'int lremovexattr(const char *path, const char *name)';

/** Calls READ with a buffer that is made larger until the answer fits (an attribute may grow between two calls). */
function grow(scratch: Buffer, read: (buffer: Buffer) => number): Buffer {
  for (let buffer = scratch; ; buffer = Buffer.allocUnsafe(buffer.length * 4)) {
    try {
      return buffer.subarray(0, read(buffer));
    } catch (error) {
      if (!(error instanceof SystemCallError && error.code === 'ERANGE') || buffer.length > 1 << 20) throw error;
    }
  }
}

const scratch = Buffer.allocUnsafe(4096);

/**
 * llistxattr(2), flistxattr(2): the names of the extended attributes of a path itself (links are not followed), or of what a
 * descriptor stands for. None where the file system has none.
 */
export function listXattrs(file: string | number): string[] {
  let names: Buffer;
  try {
    // Nearly all files have none, which is told without a buffer in a third of the time.
    if (typeof file === 'number') {
      if (callLibc('flistxattr', undefined, LIST_OPEN, file, null, 0) === 0) return [];
      names = grow(scratch, (buffer) => callLibc('flistxattr', undefined, LIST_OPEN, file, buffer, buffer.length));
    } else {
      const path = nativePath(file);
      if (callLibc('llistxattr', file, LIST, path, null, 0) === 0) return [];
      names = grow(scratch, (buffer) => callLibc('llistxattr', file, LIST, path, buffer, buffer.length));
    }
  } catch (error) {
    if (error instanceof SystemCallError && (error.code === 'ENOTSUP' || error.code === 'EOPNOTSUPP')) return [];
    throw error;
  }
  return names.length === 0 ? [] : names.toString('utf8').slice(0, -1).split('\0');
}

/** lgetxattr(2): the value of an extended attribute; undefined where PATH has none of that name. */
export function getXattr(path: string, name: string): Buffer | undefined {
  try {
    return Buffer.from(
      grow(scratch, (buffer) => callLibc('lgetxattr', path, GET, nativePath(path), name, buffer, buffer.length)),
    );
  } catch (error) {
    if (error instanceof SystemCallError && ['ENODATA', 'ENOTSUP', 'EOPNOTSUPP'].includes(error.code)) return undefined;
    throw error;
  }
}

/** lsetxattr(2). @throws SystemCallError */
export function setXattr(path: string, name: string, value: Uint8Array): void {
  callLibc('lsetxattr', path, SET, nativePath(path), name, value, value.length, 0);
}

/** lremovexattr(2). @throws SystemCallError */
export function removeXattr(path: string, name: string): void {
  callLibc('lremovexattr', path, REMOVE, nativePath(path), name);
}
