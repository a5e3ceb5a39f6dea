import { callLibc } from './libc.js';

/** The call's prototype. */
export const SYNC_FILE_RANGE = 'int sync_file_range(int fd, int64_t offset, int64_t length, unsigned int flags)';
/** Begin to write what is not being written. */
export const SYNC_FILE_RANGE_WRITE = 2;

/**
 * Has the kernel begin to bring LENGTH bytes of a file from OFFSET on to the disk, sync_file_range(2), and waits for none of them: a
 * later fdatasync(2) has less to wait for. @throws SystemCallError
 */
export function startWriteBack(fd: number, offset: number, length: number): void {
  callLibc('sync_file_range', undefined, SYNC_FILE_RANGE, fd, offset, length, SYNC_FILE_RANGE_WRITE);
}
