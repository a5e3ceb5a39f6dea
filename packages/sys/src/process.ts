import { SystemCallError } from './errors.js';
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

/** Makes orphans among this process's descendants its children (prctl(2), PR_SET_CHILD_SUBREAPER); holds across execve(2). @throws SystemCallError */
export function adoptOrphans(): void {
  callLibc('prctl', undefined, 'int prctl(int option, uint64_t a, uint64_t b, uint64_t c, uint64_t d)', 36, 1, 0, 0, 0);
}

const WNOHANG = 1;

/**
 * Takes note of the end of PID, a child of this process that Node did not start, so that nothing is left of it (waitpid(2)).
 * False while it still runs; true where it is gone.
 */
export function buryChild(pid: number): boolean {
  try {
    return callLibc('waitpid', undefined, 'int waitpid(int pid, void *status, int options)', pid, null, WNOHANG) > 0;
  } catch (error) {
    if (error instanceof SystemCallError && error.code === 'ECHILD') return true;
    throw error;
  }
}

/** Starts a session without a terminal (setsid(2)); no error where this process leads one already. */
export function leaveSession(): void {
  try {
    callLibc('setsid', undefined, 'int setsid()');
  } catch (error) {
    if (!(error instanceof SystemCallError && error.code === 'EPERM')) throw error;
  }
}
