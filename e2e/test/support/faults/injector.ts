import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { findProgram } from '../programs.js';
import { ROOT } from '../repository.js';

/** What happens at a call; `after`: a crash when it was done; `full`: ENOSPC, and for every write behind it. */
export const FAULTS = ['crash', 'after', 'EIO', 'full', 'short', 'EIO on read', 'short read'] as const;
export type FaultKind = (typeof FAULTS)[number];

/** A fault at one of the calls that change the store, counted from 1 over all processes of a command (or at one that reads it). */
export interface Fault {
  readonly kind: FaultKind;
  readonly at: number;
}

/** A call as the library wrote it down. */
export interface TracedCall {
  readonly number: number;
  /** open, create, truncate, write, read, sync, rename, link, unlink, mkdir or facts; with `!` where it was made to fail. */
  readonly name: string;
  /** What it returned; an error number below 0. */
  readonly result: number;
  readonly inode: number;
  readonly path: string;
  /** Of rename and link: the new name. */
  readonly to: string;
}

/** The C compiler; undefined where there is none. */
export function compiler(): string | undefined {
  return findProgram('cc') ?? findProgram('gcc');
}

const ERRNO = { EIO: 5, ENOSPC: 28 };

/**
 * Stands between Node and the C library for what a command does in one folder (`e2e/faults/preload.c`). The agent gets none of
 * the builder's environment, so a setpriv(1) of ours, found first in PATH, gives it the library.
 */
export class Injector {
  readonly #disk: string;
  readonly #folder: string;
  readonly #library: string;

  /** DISK: the folder whose calls count. FOLDER takes the library and what it writes, and is on the same file system. */
  constructor(disk: string, folder: string) {
    mkdirSync(path.join(folder, 'bin'), { recursive: true });
    mkdirSync(path.join(folder, 'graves'), { recursive: true });
    this.#disk = realpathSync(disk);
    this.#folder = realpathSync(folder);
    this.#library = path.join(this.#folder, 'preload.so');
    const source = path.join(ROOT, 'e2e/faults/preload.c');
    execFileSync(compiler() ?? 'cc', ['-shared', '-fPIC', '-O1', '-o', this.#library, source, '-ldl']);
  }

  get #state(): string {
    return path.join(this.#folder, 'state');
  }

  get #trace(): string {
    return path.join(this.#folder, 'trace');
  }

  /** Where file N that a call removed, replaced or moved (`<n>from`) is kept, with `graves`. */
  grave(name: string): string {
    return path.join(this.#folder, 'graves', name);
  }

  emptyGraves(): void {
    rmSync(this.grave(''), { recursive: true, force: true });
    mkdirSync(this.grave(''));
  }

  /**
   * The environment of the next command: with FAULT, or one that is only written down. BOOT: the boot that it takes this one for.
   */
  environment(options: { fault?: Fault; boot?: string; graves?: boolean; reads?: boolean }): Record<string, string> {
    const { fault, boot, graves, reads } = options;
    writeFileSync(this.#state, Buffer.alloc(24));
    writeFileSync(this.#trace, '');
    const variables: Record<string, string> = {
      LD_PRELOAD: this.#library,
      STRAKE_FAULT_ROOT: this.#disk,
      STRAKE_FAULT_STATE: this.#state,
      STRAKE_FAULT_TRACE: this.#trace,
      STRAKE_FAULT_AT: String(fault?.at ?? 0),
    };
    if (fault) {
      const { kind } = fault;
      const number = kind.startsWith('EIO') ? ERRNO.EIO : ERRNO.ENOSPC;
      const same = kind === 'crash' || kind === 'after';
      variables['STRAKE_FAULT_KIND'] = same ? kind : kind.startsWith('short') ? 'short' : String(number);
      if (kind === 'full') variables['STRAKE_FAULT_STICKY'] = '1';
    }
    if (reads ?? fault?.kind.endsWith('read')) variables['STRAKE_FAULT_READS'] = '1';
    if (graves) variables['STRAKE_FAULT_GRAVES'] = path.join(this.#folder, 'graves');
    if (boot !== undefined) {
      variables['STRAKE_FAULT_BOOT'] = path.join(this.#folder, 'boot');
      writeFileSync(path.join(this.#folder, 'boot'), `${boot}\n`);
    }
    const bin = path.join(this.#folder, 'bin');
    const exports = Object.entries(variables).map(([name, value]) => `export ${name}='${value}'\n`);
    const setpriv = `#!/bin/sh\n${exports.join('')}exec '${findProgram('setpriv') ?? 'setpriv'}' "$@"\n`;
    writeFileSync(path.join(bin, 'setpriv'), setpriv, { mode: 0o755 });
    return { ...variables, PATH: `${bin}:${process.env['PATH'] ?? ''}` };
  }

  /** Whether the fault of the last command was met, or its crash came. */
  met(): boolean {
    return readFileSync(this.#state).readBigUInt64LE(16) > 0n;
  }

  /** The calls of the last command. */
  calls(): TracedCall[] {
    const lines = readFileSync(this.#trace, 'utf8').split('\n').slice(0, -1);
    const calls = lines.map((line) => {
      const [number, name = '', result, inode, from = '', to = ''] = line.split('\t');
      return { number: Number(number), name, result: Number(result), inode: Number(inode), path: from, to };
    });
    return calls.sort((a, b) => a.number - b.number);
  }
}
