import { callLibc } from './libc.js';

/** Asks the kernel to send SIGNAL to this process when the thread that started it ends (prctl(2), PR_SET_PDEATHSIG). */
export function setParentDeathSignal(signal: number): void {
  callLibc(
    'prctl',
    undefined,
    'int prctl(int option, uint64_t a, uint64_t b, uint64_t c, uint64_t d)',
    1,
    signal,
    0,
    0,
    0,
  );
}

/** flock(2) on an open descriptor. Operations as in `<sys/file.h>`: 1 shared, 2 exclusive, 4 do not wait, 8 unlock. */
export function lockFile(fd: number, operation: number): void {
  callLibc('flock', undefined, 'int flock(int fd, int operation)', fd, operation);
}
