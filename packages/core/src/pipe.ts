import fs from 'node:fs';
import type { Socket } from 'node:net';

import { cancelled, onAbort } from './abort.js';

/** Milliseconds that a named pipe may stay without anybody at its other end. */
const PATIENCE = 5000;

export interface PipeOptions {
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds; default 5000. */
  readonly patience?: number | undefined;
}

/**
 * Opens a named pipe, or one of the shell (`<(command)`), as a stream that an abort ends. To open one as a file would wait for
 * the other end without end, in a thread that cannot be stopped.
 * @throws Error with the code ENXIO where nobody opens the other end in time; StrakeError `CANCELLED`
 */
export async function openPipe(path: string, end: 'read' | 'write', options: PipeOptions = {}): Promise<Socket> {
  const { signal, patience = PATIENCE } = options;
  const { O_RDONLY, O_WRONLY, O_NONBLOCK } = fs.constants;
  let given: 'up' | 'aborted' | undefined;
  // A first process at the other end lets the call return.
  const giveUp = (how: 'up' | 'aborted'): void => {
    given ??= how;
    try {
      fs.closeSync(fs.openSync(path, (end === 'read' ? O_WRONLY : O_RDONLY) | O_NONBLOCK));
    } catch {
      // The other end is there by now, or the pipe is gone.
    }
  };
  const timer = setTimeout(() => giveUp('up'), patience);
  const off = onAbort(signal, () => giveUp('aborted'));
  let fd: number;
  try {
    fd = await new Promise<number>((resolve, reject) => {
      fs.open(path, end === 'read' ? O_RDONLY : O_WRONLY, (error, opened) => (error ? reject(error) : resolve(opened)));
    });
  } finally {
    clearTimeout(timer);
    off();
  }
  if (given !== undefined) {
    fs.closeSync(fd);
    if (given === 'aborted') throw cancelled(signal);
    const what = end === 'read' ? 'nobody writes to it' : 'nobody reads from it';
    throw Object.assign(new Error(`${path} is a pipe, and ${what}`), { code: 'ENXIO' });
  }
  const { Socket: PipeSocket } = await import('node:net');
  return new PipeSocket({ fd, readable: end === 'read', writable: end === 'write', signal });
}

/**
 * The bytes of a small file, LIMIT at most. Never waits: a pipe that nobody has open for writing is empty.
 * @throws Error of the system: EAGAIN for a pipe or a terminal that more may come from, as half of what comes is not the file
 */
export function readAtOnce(path: string, limit: number): Buffer {
  const fd = fs.openSync(path, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK | fs.constants.O_NOCTTY);
  try {
    const chunks: Buffer[] = [];
    for (let left = limit; left > 0;) {
      const chunk = Buffer.allocUnsafe(Math.min(left, 1 << 16));
      const read = fs.readSync(fd, chunk);
      if (read === 0) break;
      chunks.push(chunk.subarray(0, read));
      left -= read;
    }
    return Buffer.concat(chunks);
  } finally {
    fs.closeSync(fd);
  }
}
