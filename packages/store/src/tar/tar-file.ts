import { createHash, type Hash } from 'node:crypto';
import { ftruncateSync, write, writeSync } from 'node:fs';
import { promisify } from 'node:util';

import type { Digest } from '@strake/core';

import { writeFailure } from '../errors.js';
import { HashTrail } from './hash-trail.js';

/** Bytes of a piece: stays in a core's cache from the read to the write, measured faster than megabytes. */
export const PIECE: number = 256 * 1024;
const ZEROS = Buffer.alloc(PIECE);
const writeLater = promisify(write);

/** Whether BYTES are all zeros. Anything else is mostly told by its first byte. */
export function isZeros(bytes: Uint8Array): boolean {
  if (bytes[0] !== 0 || bytes[bytes.length - 1] !== 0) return false;
  for (let at = 0; at < bytes.length; at += PIECE) {
    const part = bytes.subarray(at, at + PIECE);
    if (ZEROS.compare(part, 0, part.length, 0, part.length) !== 0) return false;
  }
  return true;
}

/**
 * The file of a tar, hashed while it is written, piece after piece. Whole pieces of zeros are left as holes: gigabytes of them, a
 * sparse file's or a bomb's, do not fill the disk.
 */
export class TarFile {
  readonly #path: string;
  readonly #fd: number;
  #hash: Hash = createHash('sha256');
  #trail = new HashTrail();
  #size = 0;
  /** Whether the file as it is ends before its content: with a hole. */
  #hole = false;

  /** FD: a new file's, to be closed by the caller. PATH: for errors. */
  constructor(path: string, fd: number) {
    this.#path = path;
    this.#fd = fd;
  }

  /** Bytes so far. */
  get size(): number {
    return this.#size;
  }

  /** What the hash was on its way. */
  get trail(): HashTrail {
    return this.#trail;
  }

  /**
   * Begins, as the first thing, where TRAIL has its last state at or before POSITION, and returns that place: the bytes before it are
   * others' to write. 0 where there is no such state.
   */
  resume(trail: HashTrail, position: number): number {
    const state = trail.before(position);
    if (!state) return 0;
    this.#hash = state.hash;
    this.#trail = trail.upTo(state.position);
    this.#size = state.position;
    return state.position;
  }

  /** BYTES that others write at this place. */
  pass(bytes: Uint8Array): void {
    this.#take(bytes);
    this.#hole = false;
  }

  #take(bytes: Uint8Array): void {
    this.#hash.update(bytes);
    this.#size += bytes.length;
    this.#trail.note(this.#size, this.#hash);
  }

  /** @throws StrakeError `DISK_FULL` */
  put(bytes: Uint8Array): void {
    this.#hole = bytes.length >= PIECE && isZeros(bytes);
    try {
      for (let at = this.#hole ? bytes.length : 0; at < bytes.length;) {
        at += writeSync(this.#fd, bytes, at, bytes.length - at, this.#size + at);
      }
    } catch (error) {
      throw writeFailure(error, this.#path);
    }
    this.#take(bytes);
  }

  /** As `put`, but BYTES are being written when this returns, and must stay as they are until the promise is settled. */
  putLater(bytes: Uint8Array): Promise<void> {
    this.#hole = bytes.length >= PIECE && isZeros(bytes);
    const writing = this.#hole ? Promise.resolve() : this.#writeAt(bytes, this.#size);
    this.#take(bytes);
    return writing;
  }

  async #writeAt(bytes: Uint8Array, position: number): Promise<void> {
    try {
      for (let at = 0; at < bytes.length;) {
        const { bytesWritten } = await writeLater(this.#fd, bytes, at, bytes.length - at, position + at);
        at += bytesWritten;
      }
    } catch (error) {
      throw writeFailure(error, this.#path);
    }
  }

  /** Ends the file. @throws StrakeError `DISK_FULL` */
  end(): { readonly digest: Digest; readonly size: number } {
    try {
      if (this.#hole) ftruncateSync(this.#fd, this.#size);
    } catch (error) {
      throw writeFailure(error, this.#path);
    }
    return { digest: `sha256:${this.#hash.digest('hex')}`, size: this.#size };
  }
}
