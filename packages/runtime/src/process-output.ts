import fs from 'node:fs';
import { Socket } from 'node:net';

import { closeDescriptor, makePipe } from '@strake/sys';

/**
 * A real pipe, which Node's own `'pipe'` is not: programs open /dev/stdout again, which a socket does not allow. Its writing end
 * is for a child.
 */
export class OutputPipe {
  readonly #read: number;
  #write: number | undefined;
  #reading = false;

  constructor() {
    const { read, write } = makePipe();
    this.#read = read;
    this.#write = write;
  }

  /** The writing end, to be given to a child. */
  get writer(): number {
    if (this.#write === undefined) throw new Error('the pipe is closed for writing');
    return this.#write;
  }

  /** Lets a user open the writing end again by its path in /proc. */
  giveTo(owner: { readonly uid: number; readonly gid: number }): void {
    fs.fchownSync(this.writer, owner.uid, owner.gid);
  }

  /** Closes this process's writing end: the child has its own. */
  closeWriter(): void {
    if (this.#write !== undefined) closeDescriptor(this.#write);
    this.#write = undefined;
  }

  /** Hands on what is written, as it comes. Settles when nobody can write any more and all was handed on. */
  async read(onData: (data: Uint8Array) => void): Promise<void> {
    const socket = new Socket({ fd: this.#read, readable: true, writable: false });
    this.#reading = true;
    return new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.once('close', () => resolve());
      socket.on('data', onData);
    });
  }

  /** Gives both ends back where they were not used. */
  discard(): void {
    this.closeWriter();
    if (!this.#reading) closeDescriptor(this.#read);
    this.#reading = true;
  }
}
