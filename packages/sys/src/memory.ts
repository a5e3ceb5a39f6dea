import { callLibcLater } from './libc.js';

/**
 * Has the C library give memory back that it keeps for this process and does not use, malloc_trim(3), on another thread. Threads that come
 * and go, and buffers of all sizes, leave its arenas full of holes: hundreds of megabytes in an hour. Nothing where the library has no
 * such call, as musl's.
 */
export async function trimMemory(): Promise<void> {
  try {
    await callLibcLater('int malloc_trim(size_t pad)', 0);
  } catch {
    // It is only memory.
  }
}
