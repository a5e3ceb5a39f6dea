import koffi from 'koffi';

import { SystemCallError } from './errors.js';

type Call = (...args: unknown[]) => number;

let library: ReturnType<typeof koffi.load> | undefined;
const calls = new Map<string, Call>();

function open(): ReturnType<typeof koffi.load> {
  koffi.struct('strake_sock_fprog', { length: 'uint16_t', filter: 'const uint8_t *' });
  return koffi.load(null as unknown as string);
}

/** A function of the C library by its C prototype; loaded at its first use, so that a build that needs none loads nothing. */
function libc(prototype: string): Call {
  let call = calls.get(prototype);
  if (!call) {
    library ??= open();
    call = library.func(prototype) as unknown as Call;
    calls.set(prototype, call);
  }
  return call;
}

/**
 * Calls a function of the C library and returns its result.
 * @throws SystemCallError where it returns a negative number
 */
export function callLibc(name: string, path: string | undefined, prototype: string, ...args: unknown[]): number {
  const result = Number(libc(prototype)(...args));
  if (result < 0) throw new SystemCallError(name, koffi.errno(), path);
  return result;
}
