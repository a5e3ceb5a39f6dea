import fs from 'node:fs';

import { specInvalid } from './errors.js';

/** Names as `--ulimit` takes them, with how /proc/PID/limits calls them. */
const LIMITS: Readonly<Record<string, string>> = {
  as: 'Max address space',
  core: 'Max core file size',
  cpu: 'Max cpu time',
  data: 'Max data size',
  fsize: 'Max file size',
  locks: 'Max file locks',
  memlock: 'Max locked memory',
  msgqueue: 'Max msgqueue size',
  nice: 'Max nice priority',
  nofile: 'Max open files',
  nproc: 'Max processes',
  rss: 'Max resident set',
  rtprio: 'Max realtime priority',
  rttime: 'Max realtime timeout',
  sigpending: 'Max pending signals',
  stack: 'Max stack size',
};

/** RLIM_INFINITY as OCI runtimes read it, and for what a JSON number cannot say: as text of a 64-bit number. */
export const UNLIMITED = 18446744073709551615n;

export interface ResourceLimit {
  /** For example `RLIMIT_NOFILE`. */
  readonly type: string;
  readonly soft: bigint;
  readonly hard: bigint;
}

/**
 * The limits of a container's first process. Negative numbers mean unlimited. None is raised above this process's own hard
 * limit: only a privileged process may, and a container that does not start for its limits helps nobody.
 * @throws StrakeError `CONTAINER_SPEC_INVALID`
 */
export function resourceLimits(
  ulimits: readonly { readonly name: string; readonly soft: number; readonly hard: number }[],
  ownLimits: string = fs.readFileSync('/proc/self/limits', 'utf8'),
): ResourceLimit[] {
  return ulimits.map(({ name, soft, hard }) => {
    const title = Object.hasOwn(LIMITS, name) ? LIMITS[name] : undefined;
    if (title === undefined) throw specInvalid(`"${name}" is not the name of a limit`);
    const line = ownLimits.split('\n').find((l) => l.startsWith(`${title} `));
    const own = number(line?.slice(title.length).trim().split(/\s+/)[1] ?? 'unlimited');
    const least = (a: bigint, b: bigint): bigint => (a < b ? a : b);
    const highest = least(asBig(hard), own);
    return { type: `RLIMIT_${name.toUpperCase()}`, soft: least(asBig(soft), highest), hard: highest };
  });
}

function number(text: string): bigint {
  return /^\d+$/.test(text) ? BigInt(text) : UNLIMITED;
}

function asBig(value: number): bigint {
  if (!Number.isInteger(value)) throw specInvalid(`a limit must be a whole number, not ${value}`);
  return value < 0 || value >= 2 ** 64 ? UNLIMITED : BigInt(value);
}
