import fs from 'node:fs';
import { Socket } from 'node:net';

import { closeDescriptor, makePipe } from '@strake/sys';

/** A pipe whose writing end a child gets, and whose bytes come in as they are written. */
export interface OutputPipe {
  /** For the child. To be closed here with `closeWriter` once the child has it. */
  readonly fd: number;
  closeWriter(): void;
  /** Settles when nobody can write any more and all was handed on. */
  readonly ended: Promise<void>;
}

/**
 * A real pipe, which Node's own `'pipe'` is not: programs open /dev/stdout again, which a socket does not allow.
 * OWNER is who the child will be, since only the owner may open it again.
 */
export function outputPipe(
  owner: { readonly uid: number; readonly gid: number },
  onData: (data: Uint8Array) => void,
): OutputPipe {
  const { read, write } = makePipe();
  let open = true;
  const closeWriter = (): void => {
    if (open) closeDescriptor(write);
    open = false;
  };
  try {
    fs.fchownSync(write, owner.uid, owner.gid);
    const socket = new Socket({ fd: read, readable: true, writable: false });
    const ended = new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.once('close', () => resolve());
    });
    socket.on('data', onData);
    return { fd: write, closeWriter, ended };
  } catch (error) {
    closeWriter();
    closeDescriptor(read);
    throw error;
  }
}
