import { createHash, hash } from 'node:crypto';
import { closeSync, fdatasyncSync, ftruncateSync, openSync, readSync, write, writeSync } from 'node:fs';
import { promisify } from 'node:util';

import type { Digest } from '@strake/core';

import { writeFailure } from '../errors.js';
import { BLOCK, longHeader, paddingOf, writePlainHeader, type TarHeader } from './header.js';

/** Stays in a core's cache from the read to the write: measured faster than megabytes. */
const SLAB = 256 * 1024;
const ZEROS = Buffer.alloc(SLAB);
/** Pieces of another tar: long enough that it pays to have another thread write them. */
const TAKEN = 1 << 20;
const writeLater = promisify(write);

/** Whether BYTES are all zeros. Anything else is mostly told by its first byte. */
export function isZeros(bytes: Uint8Array): boolean {
  if (bytes[0] !== 0 || bytes[bytes.length - 1] !== 0) return false;
  for (let at = 0; at < bytes.length; at += SLAB) {
    const part = bytes.subarray(at, at + SLAB);
    if (ZEROS.compare(part, 0, part.length, 0, part.length) !== 0) return false;
  }
  return true;
}

/** What fits into the buffer beside other things. */
export const SMALL: number = SLAB / 2;

/** Where a file's bytes come from: fills TARGET from AT with at most LENGTH bytes and returns how many; 0 at the end. */
export type ReadInto = (target: Buffer, at: number, length: number) => number;

/**
 * A tar that is hashed while it is written, synchronously: for worker threads. Long runs of zeros are left as holes of the file:
 * gigabytes of them, a sparse file's or a bomb's, do not fill the disk.
 */
export class TarSink {
  readonly #path: string;
  readonly #fd: number;
  readonly #aborted: () => boolean;
  readonly #slab: Buffer = Buffer.allocUnsafeSlow(SLAB);
  readonly #hash = createHash('sha256');
  #used = 0;
  #flushed = 0;
  /** Whether the file as it is ends before its content: with a hole. */
  #hole = false;
  #open = true;

  /** ABORTED: asked now and then, as one file may be terabytes of zeros. */
  constructor(path: string, aborted: () => boolean = () => false) {
    this.#path = path;
    this.#aborted = aborted;
    this.#fd = openSync(path, 'wx', 0o600);
  }

  /** Bytes so far. */
  get position(): number {
    return this.#flushed + this.#used;
  }

  #flush(): void {
    if (this.#used === 0) return;
    if (this.#aborted()) throw new Error('aborted');
    const bytes = this.#slab.subarray(0, this.#used);
    this.#hash.update(bytes);
    this.#hole = bytes.length === SLAB && isZeros(bytes);
    try {
      for (let at = this.#hole ? bytes.length : 0; at < bytes.length;) {
        at += writeSync(this.#fd, bytes, at, bytes.length - at, this.#flushed + at);
      }
    } catch (error) {
      throw writeFailure(error, this.#path);
    }
    this.#flushed += this.#used;
    this.#used = 0;
  }

  write(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length;) {
      if (this.#used === SLAB) this.#flush();
      const part = bytes.subarray(at, at + SLAB - this.#used);
      this.#slab.set(part, this.#used);
      this.#used += part.length;
      at += part.length;
    }
  }

  header(header: TarHeader): void {
    if (this.#used + BLOCK > SLAB) this.#flush();
    if (writePlainHeader(this.#slab, this.#used, header)) this.#used += BLOCK;
    else this.write(longHeader(header));
  }

  /** Zeros up to the next block. */
  pad(size: number): void {
    const padding = paddingOf(size);
    if (this.#used + padding > SLAB) this.#flush();
    this.#slab.fill(0, this.#used, this.#used + padding);
    this.#used += padding;
  }

  /** As `content`, of no more than {@link SMALL} bytes, but nothing is written where they have not the sha256 DIGEST (hex). */
  contentIf(digest: string, size: number, read: ReadInto): boolean {
    if (SLAB - this.#used <= size) this.#flush();
    const start = this.#used;
    for (let count = 0; count < size;) {
      const got = read(this.#slab, start + count, size - count);
      if (got === 0) return false;
      count += got;
    }
    if (hash('sha256', this.#slab.subarray(start, start + size), 'hex') !== digest) return false;
    this.#used += size;
    return true;
  }

  /**
   * SIZE bytes of content read straight into the buffer that is written.
   * Returns their sha256 (hex) and whether exactly SIZE bytes were there.
   */
  content(size: number, read: ReadInto): { readonly digest: string; readonly whole: boolean } {
    if (SLAB - this.#used <= size) this.#flush();
    if (size < SLAB) {
      // One byte more than there should be tells whether the file has grown, without another read.
      const start = this.#used;
      let count = 0;
      let got;
      do {
        got = read(this.#slab, start + count, size + 1 - count);
        count += got;
      } while (got !== 0 && count < size);
      this.#used += size;
      return { digest: hash('sha256', this.#slab.subarray(start, start + size), 'hex'), whole: count === size };
    }
    const digest = createHash('sha256');
    for (let rest = size; rest > 0;) {
      if (this.#used === SLAB) this.#flush();
      const got = read(this.#slab, this.#used, Math.min(rest, SLAB - this.#used));
      if (got === 0) return { digest: '', whole: false };
      digest.update(this.#slab.subarray(this.#used, this.#used + got));
      this.#used += got;
      rest -= got;
    }
    return { digest: digest.digest('hex'), whole: read(Buffer.allocUnsafe(1), 0, 1) === 0 };
  }

  /** LENGTH bytes, whatever they are, written while they are hashed. False where there are fewer. */
  async take(length: number, read: ReadInto): Promise<boolean> {
    this.#flush();
    const buffers = [Buffer.allocUnsafeSlow(TAKEN), Buffer.allocUnsafeSlow(TAKEN)] as const;
    let writing: Promise<void> = Promise.resolve();
    try {
      for (let rest = length, turn: 0 | 1 = 0; rest > 0; turn = turn === 0 ? 1 : 0) {
        if (this.#aborted()) throw new Error('aborted');
        const bytes = buffers[turn].subarray(0, read(buffers[turn], 0, Math.min(rest, TAKEN)));
        if (bytes.length === 0) return false;
        await writing;
        this.#hole = bytes.length === TAKEN && isZeros(bytes);
        if (!this.#hole) writing = this.#writeAt(bytes, this.#flushed);
        this.#hash.update(bytes);
        this.#flushed += bytes.length;
        rest -= bytes.length;
      }
      await writing;
      return true;
    } finally {
      // The descriptor may be closed right after this.
      await writing.catch(() => undefined);
    }
  }

  async #writeAt(bytes: Buffer, position: number): Promise<void> {
    try {
      for (let at = 0; at < bytes.length;) {
        const { bytesWritten } = await writeLater(this.#fd, bytes, at, bytes.length - at, position + at);
        at += bytesWritten;
      }
    } catch (error) {
      throw writeFailure(error, this.#path);
    }
  }

  /** Ends the tar. With `sync` it is on the disk when this returns. */
  finish(options: { readonly sync: boolean }): { readonly digest: Digest; readonly size: number } {
    this.write(Buffer.alloc(2 * BLOCK));
    return this.finishBytes(options);
  }

  /** Ends the file without end blocks: for a copy of a foreign tar. */
  finishBytes(options: { readonly sync: boolean }): { readonly digest: Digest; readonly size: number } {
    this.#flush();
    try {
      if (this.#hole) ftruncateSync(this.#fd, this.#flushed);
      if (options.sync) fdatasyncSync(this.#fd);
    } catch (error) {
      throw writeFailure(error, this.#path);
    } finally {
      this.abandon();
    }
    return { digest: `sha256:${this.#hash.digest('hex')}`, size: this.#flushed };
  }

  /** Gives the descriptor back, after a failure too; the file is the caller's to remove. */
  abandon(): void {
    if (this.#open) closeSync(this.#fd);
    this.#open = false;
  }
}

/** Reads an open file, from POSITION or (null) from where it stands. */
export function readerOf(fd: number, position: number | null = null): ReadInto {
  let next = position;
  return (target, at, length) => {
    const got = readSync(fd, target, at, length, next);
    if (next !== null) next += got;
    return got;
  };
}
