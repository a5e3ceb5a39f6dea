import { callLibcLater } from './libc.js';
import { SYNC_FILE_RANGE, SYNC_FILE_RANGE_WRITE } from './write-back.js';

const COPY =
  'intptr_t copy_file_range(int from, uint8_t *fromAt, int to, uint8_t *toAt, uintptr_t length, uint32_t flags)';

/**
 * Copies bytes of one open file into another one, by the kernel on another thread, and has the disk begin to write them. Returns how
 * many; 0 at the end of the file, or where the kernel does not do that between these files.
 */
export async function copyRange(from: number, at: number, to: number, target: number, length: number): Promise<number> {
  const places = [at, target].map((place) => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(BigInt(place));
    return bytes;
  });
  const copied = await callLibcLater(COPY, from, places[0], to, places[1], length, 0);
  if (copied <= 0) return 0;
  await callLibcLater(SYNC_FILE_RANGE, to, target, copied, SYNC_FILE_RANGE_WRITE);
  return copied;
}
