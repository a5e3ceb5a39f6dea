import { closeSync, openSync, readSync } from 'node:fs';

import type { Digest } from '@strake/core';

import type { Segments } from '../entries.js';

const WINDOW = 1 << 20;

/** Reads contents out of tars, a megabyte at once: neighbours in a tar are mostly asked for one after the other. */
export class ContentReader {
  readonly #tars: ReadonlyMap<Digest, string>;
  readonly #open = new Map<Digest, number>();
  readonly #window: Buffer = Buffer.allocUnsafeSlow(WINDOW);
  #tar: Digest | undefined;
  #start = 0;
  #end = 0;

  constructor(tars: ReadonlyMap<Digest, string>) {
    this.#tars = tars;
  }

  #fd(tar: Digest): number {
    let fd = this.#open.get(tar);
    if (fd === undefined) {
      fd = openSync(this.#tars.get(tar) ?? '', 'r');
      this.#open.set(tar, fd);
    }
    return fd;
  }

  /** At most LENGTH bytes of a tar from OFFSET on; at least one. */
  #bytes(tar: Digest, offset: number, length: number): Buffer {
    if (tar !== this.#tar || offset < this.#start || offset >= this.#end) {
      const got = readSync(this.#fd(tar), this.#window, 0, WINDOW, offset);
      if (got === 0) throw new Error(`the tar of ${tar} is shorter than its index says`);
      this.#tar = tar;
      this.#start = offset;
      this.#end = offset + got;
    }
    const at = offset - this.#start;
    return this.#window.subarray(at, Math.min(at + length, this.#end - this.#start));
  }

  /** Gives a file's content to WRITE, with the position in the file; holes of a sparse one are left out. */
  copy(
    tar: Digest,
    offset: number,
    size: number,
    segments: Segments | undefined,
    write: (bytes: Buffer, position: number) => void,
  ): void {
    let next = offset;
    for (const [at, length] of segments ?? [[0, size]]) {
      for (let done = 0; done < length;) {
        const bytes = this.#bytes(tar, next, length - done);
        write(bytes, at + done);
        done += bytes.length;
        next += bytes.length;
      }
    }
  }

  close(): void {
    for (const fd of this.#open.values()) closeSync(fd);
    this.#open.clear();
  }
}
