import koffi from 'koffi';

import { SystemCallError } from './errors.js';

type Call = (...args: unknown[]) => number | bigint;

let library: ReturnType<typeof koffi.load> | undefined;
const calls = new Map<string, Call>();

/** A function of the C library by its C prototype; loaded at its first use, so that a build that needs none loads nothing. */
function libc(prototype: string): Call {
  let call = calls.get(prototype);
  if (!call) {
    library ??= koffi.load(null);
    call = library.func(prototype) as Call;
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

/** Where the bytes of BUFFER lie, for structures that hold pointers. Holds as long as BUFFER is referenced. */
export function addressOf(buffer: Buffer): bigint {
  return koffi.address(buffer);
}
