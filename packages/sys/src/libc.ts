import { createRequire } from 'node:module';

import type Koffi from 'koffi';

import { nativeMissing, SystemCallError } from './errors.js';

export type Call = (...args: unknown[]) => number | bigint;

/** Loaded at the first call: a build that needs none of them is answered before this would be done. */
let koffi: typeof Koffi | undefined;
let library: ReturnType<typeof Koffi.load> | undefined;
const calls = new Map<string, Call>();

function loaded(): typeof Koffi {
  try {
    return (koffi ??= createRequire(import.meta.url)('koffi') as typeof Koffi);
  } catch (error) {
    throw nativeMissing(error);
  }
}

/** Loads what calls need, so that the first one does not wait for it. Where that fails, the first one tells. */
export function prepareCalls(): void {
  try {
    library ??= loaded().load(null);
  } catch {
    library = undefined;
  }
}

/** A function of the C library by its C prototype, for many calls. Its result is told as it is. */
export function libraryCall(prototype: string): Call {
  let call = calls.get(prototype);
  if (!call) {
    library ??= loaded().load(null);
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
  const result = Number(libraryCall(prototype)(...args));
  if (result < 0) throw new SystemCallError(name, loaded().errno(), path);
  return result;
}

/**
 * Calls a function of the C library by its C prototype on another thread, and returns its result; what it failed for is not known.
 * Buffers in ARGS must not be touched meanwhile.
 */
export function callLibcLater(prototype: string, ...args: unknown[]): Promise<number> {
  const call = libraryCall(prototype) as Call & { async(...all: unknown[]): void };
  return new Promise((resolve, reject) => {
    call.async(...args, (error: unknown, result: number | bigint) => {
      if (error) reject(error instanceof Error ? error : new Error('a call failed'));
      else resolve(Number(result));
    });
  });
}

/** Where the bytes of BUFFER lie, for structures that hold pointers. Holds as long as BUFFER is referenced. */
export function addressOf(buffer: Buffer): bigint {
  return loaded().address(buffer);
}
