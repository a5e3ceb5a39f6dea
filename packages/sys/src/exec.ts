import { callLibc } from './libc.js';

const CLOSE_RANGE = 436;
const CLOSE_RANGE_CLOEXEC = 4;
const F_SETFD = 2;
const HIGHEST_SIGNAL = 64;
const RLIMITS: Readonly<Record<string, number>> = {
  RLIMIT_CPU: 0,
  RLIMIT_FSIZE: 1,
  RLIMIT_DATA: 2,
  RLIMIT_STACK: 3,
  RLIMIT_CORE: 4,
  RLIMIT_RSS: 5,
  RLIMIT_NPROC: 6,
  RLIMIT_NOFILE: 7,
  RLIMIT_MEMLOCK: 8,
  RLIMIT_AS: 9,
  RLIMIT_LOCKS: 10,
  RLIMIT_SIGPENDING: 11,
  RLIMIT_MSGQUEUE: 12,
  RLIMIT_NICE: 13,
  RLIMIT_RTPRIO: 14,
  RLIMIT_RTTIME: 15,
};

/** Sets a resource limit of this process by its name in `<sys/resource.h>`. @throws SystemCallError, RangeError for an unknown name */
export function setResourceLimit(name: string, soft: bigint, hard: bigint): void {
  const resource = Object.hasOwn(RLIMITS, name) ? RLIMITS[name] : undefined;
  if (resource === undefined) throw new RangeError(`unknown resource limit ${name}`);
  const limit = Buffer.alloc(16);
  limit.writeBigUInt64LE(soft, 0);
  limit.writeBigUInt64LE(hard, 8);
  callLibc('setrlimit', name, 'int setrlimit(int resource, const uint8_t *limit)', resource, limit);
}

/**
 * Puts this process into the state that a program expects to start in: every signal with its default action, and no descriptor but
 * 0, 1 and 2 and those of KEEP that outlives execve(2).
 */
export function prepareForExec(keep: readonly number[] = []): void {
  // SIGKILL and SIGSTOP cannot be set, and two of the C library's own; their errors are without meaning.
  for (let signal = 1; signal <= HIGHEST_SIGNAL; signal++) {
    if (signal !== 9 && signal !== 19 && signal !== 32 && signal !== 33) {
      callLibc('signal', undefined, 'int64_t signal(int number, int64_t action)', signal, 0);
    }
  }
  const prototype = 'long syscall(long nr, uint64_t first, uint64_t last, uint64_t flags)';
  callLibc('close_range', undefined, prototype, CLOSE_RANGE, 3, 0xffffffff, CLOSE_RANGE_CLOEXEC);
  // Node marks the standard ones too.
  for (const fd of [0, 1, 2, ...keep]) {
    callLibc('fcntl', undefined, 'int fcntl(int fd, int command, uint64_t flags)', fd, F_SETFD, 0);
  }
}

/** Replaces this process by the program FILE (execve(2)): returns only to throw. @throws SystemCallError */
export function execute(file: string, args: readonly string[], env: readonly string[]): never {
  const prototype = 'int execve(const char *file, const char **args, const char **env)';
  callLibc('execve', file, prototype, file, [...args, null], [...env, null]);
  throw new Error('execve returned');
}
