import { readFileSync } from 'node:fs';
import type { Output } from '../io.js';

/** What tells one call of the command from another, besides the environment. */
export interface Caller {
  readonly argv: readonly string[];
  readonly cwd: string;
  readonly stdout: Pick<Output, 'isTerminal' | 'size'>;
  readonly stderr: Pick<Output, 'isTerminal' | 'size'>;
}

/** Variables that are looked up before a kept call is found. */
export const STORE_VARIABLES = ['STRAKE_ROOT', 'XDG_DATA_HOME', 'HOME'] as const;

/** `STRAKE_REPEAT=off`: no call is answered from what was kept, and none is kept. */
export function isSwitchedOff(env: Readonly<Record<string, string | undefined>>): boolean {
  return env['STRAKE_REPEAT'] === 'off';
}

/** A text that two calls have in common only where they are the same. */
export function describeCall({ argv, cwd, stdout, stderr }: Caller): string {
  const windows = [stdout, stderr].map((output) => (output.isTerminal ? output.size() : null));
  return JSON.stringify([argv, cwd, process.getuid?.(), process.version, windows]);
}

/** A file name for a call; two calls may have the same (FNV-1a, 64 bits as two of 32): node:crypto takes 3 ms to load. */
export function fileNameOf(call: string): string {
  let name = '';
  for (const basis of [0x811c9dc5, 0x01234567]) {
    let hash = basis;
    for (let i = 0; i < call.length; i++) hash = Math.imul(hash ^ call.charCodeAt(i), 0x01000193);
    name += (hash >>> 0).toString(16).padStart(8, '0');
  }
  return name;
}

/** The id of the kernel's run. @throws where /proc is not there */
export function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
}
