import { fstatSync, writeSync } from 'node:fs';
import { constants, homedir } from 'node:os';
import { errnoOf, StrakeError } from '@strake/core';
import type { Io, Output } from './io.js';
import { main } from './main.js';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
/** How long to wait where a pipe is full and does not block: milliseconds. */
const FULL_PIPE = 2;

/** The device number of /dev/null on Linux. */
const NULL_DEVICE = 0x103;

function isTerminal(fd: number): boolean {
  try {
    const facts = fstatSync(fd);
    // node:tty takes 2 ms to load
    return facts.isCharacterDevice() && facts.rdev !== NULL_DEVICE && process.getBuiltinModule('node:tty').isatty(fd);
  } catch {
    return false;
  }
}

/**
 * Standard output or error, written to as pipes are by process.stdout on Linux: at once, and waiting where nobody reads yet.
 * (process.stdout and process.stderr take 3 ms to load.) A reader that has gone is no error of ours.
 */
function output(fd: number, stream: () => NodeJS.WriteStream): Output {
  let closed = false;
  const write = (bytes: Uint8Array): void => {
    for (let at = 0; at < bytes.length && !closed;) {
      try {
        at += writeSync(fd, bytes, at);
      } catch (error) {
        const code = errnoOf(error);
        if (code === 'EAGAIN') Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, FULL_PIPE);
        else if (code === 'EPIPE' || code === 'EBADF' || code === 'EIO') closed = true;
        else throw error;
      }
    }
  };
  const terminal = isTerminal(fd);
  return {
    write: (data) => write(typeof data === 'string' ? Buffer.from(data) : data),
    isTerminal: terminal,
    size: () => {
      const { columns, rows } = terminal ? stream() : { columns: 0, rows: 0 };
      return { columns: columns || 80, rows: rows || 24 };
    },
  };
}

/**
 * Runs the command line of this process and ends it. The first SIGINT, SIGTERM or SIGHUP aborts what is under way and waits
 * for it to clean up; a second one ends the process at once. Both end with 128 + the signal's number.
 */
export async function start(): Promise<void> {
  const controller = new AbortController();
  const restore = new Set<string>();
  let interrupted: number | undefined;
  for (const signal of SIGNALS) {
    process.on(signal, () => {
      const status = 128 + constants.signals[signal];
      if (interrupted !== undefined) {
        for (const text of restore) writeSync(2, text);
        process.exit(status);
      }
      interrupted = status;
      controller.abort(new StrakeError({ code: 'CANCELLED', message: `cancelled by ${signal}` }));
    });
  }
  const io: Io = {
    stdin: () => process.stdin,
    stdout: output(1, () => process.stdout),
    stderr: output(2, () => process.stderr),
    env: process.env,
    home: process.env['HOME'] || homedir(),
    cwd: process.cwd(),
    signal: controller.signal,
    now: Date.now,
    createEngine: async (options) => (await import('@strake/engine')).createEngine(options),
    authentication: () => import('@strake/engine'),
    watch: async () => (await import('@strake/engine')).watch,
    restoreAtExit: (text) => {
      restore.add(text);
      return () => void restore.delete(text);
    },
  };
  const status = await main(process.argv.slice(2), io);
  process.exit(interrupted ?? status);
}
