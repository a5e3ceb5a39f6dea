/** Clocks that stamp files tick every 10 ms at most on Linux; file systems that keep whole seconds get two of them. */
const TICK = 20;
const SECOND = 1000;

/**
 * Whether a file may have been written after its digest was taken without a new time: its times are not older than the scan that
 * OPENED at some time by a tick of the clock ("racily clean"). Milliseconds since 1970.
 */
export function isRacy(mtime: number, ctime: number, opened: number): boolean {
  const coarse = mtime % SECOND === 0 && ctime % SECOND === 0;
  return Math.max(mtime, ctime) + (coarse ? 2 * SECOND : TICK) >= opened;
}
