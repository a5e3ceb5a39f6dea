import { spawnSync } from 'node:child_process';
import os from 'node:os';

import { resourceLimits } from './rlimits.js';
import { inUserNamespace } from './user-namespace.js';

/** The first Linux that counts the processes of RLIMIT_NPROC by user namespace. */
const COUNTED_APART = [5, 14] as const;
/** Where the programs of this machine are. */
const PATH = '/usr/sbin:/usr/bin:/sbin:/bin';

/**
 * Becomes the command behind LIMIT in a new user namespace with the same ids. A process outside must write these: a child that
 * does so once this one, which unshare(1) becomes, is there; it is handed to the first process of the process namespace, so that the
 * command gets no child that it does not know. printf(1) writes a map at once, as the kernel wants it; a shell's own may not.
 */
const LEVEL = `export PATH=${PATH}
map() {
  until [ "$(readlink /proc/$2/ns/user)" != "$3" ]; do :; done
  text=$(while read -r first rest; do echo "$first $first \${rest##* }"; done < /proc/self/$1)
  env printf '%s\\n' "$text" > /proc/$2/$1
}
own=$(readlink /proc/self/ns/user)
( { map uid_map $$ "$own" && map gid_map $$ "$own" || kill -KILL $$; } > /dev/null 2>&1 & )
limit=$1; shift
[ "$limit" = - ] || set -- prlimit "--nproc=$limit" "$@"
exec "$@"`;
/** Waits until it has ids, with which it gets its capabilities back, and becomes the command that follows. */
const MAPPED = 'until read -r line < /proc/self/gid_map; do :; done; exec "$@"';

function level(limit: string): readonly string[] {
  return ['/bin/sh', '-c', LEVEL, 'sh', limit, 'unshare', '--user', '/bin/sh', '-c', MAPPED, 'sh'];
}

/**
 * The beginning of a command that then becomes the program that follows, of which no more than COUNT processes and threads can be at
 * a time, whatever ids they take. For a process in a user namespace, where there are no cgroups for it.
 *
 * RLIMIT_NPROC counts a user's processes by user namespace (getrlimit(2), user_namespaces(7)), and those of a namespace and all below
 * also for the user that made it, against the limit that this one had. So there are two: in the inner one the step's processes are
 * alone; and as its maker is nobody else in the outer one, all its users together have no more than one may have.
 */
export function processBound(count: number): readonly string[] {
  // Who is limited further cannot raise that.
  const [limit] = resourceLimits([{ name: 'nproc', soft: count, hard: count }]);
  return [...level('-'), ...level(String(limit?.hard ?? count))];
}

/** Whether {@link processBound} works here: tried, as user namespaces can be forbidden in many ways. */
export function canBoundProcesses(release: string = os.release()): boolean {
  const [major = 0, minor = 0] = release.split('.').map(Number.parseFloat);
  if (major < COUNTED_APART[0] || (major === COUNTED_APART[0] && minor < COUNTED_APART[1])) return false;
  // Root of the machine is above this limit.
  if (!inUserNamespace()) return false;
  const [file, ...args] = [...processBound(100), 'true'];
  return spawnSync(file, args, { env: { PATH }, stdio: 'ignore', timeout: 10_000 }).status === 0;
}
