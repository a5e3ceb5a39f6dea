import { readSync, writeSync } from 'node:fs';

import { copyRange } from '@strake/sys';

import { writeFailure } from '../errors.js';

/** What the kernel copies in one go: it cannot be asked to stop meanwhile. */
const PIECE = 16 << 20;
const CHUNK = 1 << 20;

/** Copies ranges of one file into another, one after the other, while this thread does other things. */
export class RangeCopier {
  readonly #from: number;
  readonly #to: number;
  readonly #path: string;
  readonly #aborted: () => boolean;
  #copying: Promise<void> = Promise.resolve();
  #given = false;

  /** FROM, TO: descriptors, which stay open until `end` has resolved. PATH: of TO, for errors. */
  constructor(from: number, to: number, path: string, aborted: () => boolean) {
    this.#from = from;
    this.#to = to;
    this.#path = path;
    this.#aborted = aborted;
  }

  /** LENGTH bytes from AT go to TARGET. */
  copy(at: number, target: number, length: number): void {
    this.#copying = this.#copying.then(() => this.#copy(at, target, length));
    // Told by `end`.
    this.#copying.catch(() => undefined);
  }

  async #copy(at: number, target: number, length: number): Promise<void> {
    for (let done = 0; done < length;) {
      if (this.#given || this.#aborted()) return;
      const wanted = Math.min(PIECE, length - done);
      const copied = await copyRange(this.#from, at + done, this.#to, target + done, wanted);
      done += copied > 0 ? copied : this.#copyHere(at + done, target + done, wanted);
    }
  }

  /** Where the kernel does not do it, or it failed: the error tells why. */
  #copyHere(at: number, target: number, wanted: number): number {
    const buffer = Buffer.allocUnsafeSlow(Math.min(CHUNK, wanted));
    const got = readSync(this.#from, buffer, 0, buffer.length, at);
    if (got === 0) throw new RangeError('the file is too short');
    try {
      for (let done = 0; done < got;) done += writeSync(this.#to, buffer, done, got - done, target + done);
    } catch (error) {
      throw writeFailure(error, this.#path);
    }
    return got;
  }

  /** Resolves when all is copied. @throws StrakeError `DISK_FULL`, RangeError where FROM is too short */
  async end(): Promise<void> {
    await this.#copying;
  }

  /** Resolves when nothing is copied any more, whatever is missing. */
  async giveUp(): Promise<void> {
    this.#given = true;
    await this.#copying.catch(() => undefined);
  }
}
