import { fstatSync, writeSync } from 'node:fs';
import { errnoOf } from '@strake/core';
import type { Output } from './io.js';

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
export function output(fd: number, stream: () => NodeJS.WriteStream): Output {
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
