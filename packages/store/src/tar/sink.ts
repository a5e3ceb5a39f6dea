import { createHash, hash } from 'node:crypto';
import { closeSync, fdatasyncSync, openSync, readSync } from 'node:fs';

import type { Digest } from '@strake/core';

import { writeFailure } from '../errors.js';
import type { HashTrail } from './hash-trail.js';
import { BLOCK, longHeader, paddingOf, writePlainHeader, type TarHeader } from './header.js';
import { PIECE, TarFile } from './tar-file.js';
import { TarRelay, type SendTar } from './tar-relay.js';

/** Bytes of another tar at once: so many that it pays to have them written by another thread. */
const TAKEN = 1 << 20;

/** What fits into the buffer beside other things. */
export const SMALL: number = PIECE / 2;

/** Where a file's bytes come from: fills TARGET from AT with at most LENGTH bytes and returns how many; 0 at the end. */
export type ReadInto = (target: Buffer, at: number, length: number) => number;

/** A tar that is hashed while it is written, synchronously: for worker threads. */
export class TarSink {
  readonly #path: string;
  readonly #fd: number;
  readonly #aborted: () => boolean;
  readonly #file: TarFile;
  readonly #relay: TarRelay | undefined;
  #piece: Buffer;
  #used = 0;
  #flushed = 0;
  #open = true;

  /**
   * ABORTED: asked now and then, as one file may be terabytes of zeros. SEND: to a thread that hashes and writes what this one makes,
   * where the tar is large.
   */
  constructor(path: string, aborted: () => boolean = () => false, send?: SendTar) {
    this.#path = path;
    this.#aborted = aborted;
    this.#fd = openSync(path, 'wx', 0o600);
    this.#file = new TarFile(path, this.#fd);
    this.#relay = send && new TarRelay(path, this.#fd, send);
    this.#piece = this.#relay?.piece ?? Buffer.allocUnsafeSlow(PIECE);
  }

  /** Bytes so far. */
  get position(): number {
    return this.#flushed + this.#used;
  }

  /** What the hash was on its way; undefined where another thread knows. */
  get trail(): HashTrail | undefined {
    return this.#relay ? undefined : this.#file.trail;
  }

  /** The file that is written. */
  get descriptor(): number {
    return this.#fd;
  }

  /** As `TarFile.resume`. Not where the tar is sent. */
  resume(trail: HashTrail, position: number): number {
    return (this.#flushed = this.#file.resume(trail, position));
  }

  #flush(): void {
    if (this.#used === 0) return;
    if (this.#aborted()) throw new Error('aborted');
    if (this.#relay) {
      this.#relay.pass(this.#used);
      this.#piece = this.#relay.piece;
    } else this.#file.put(this.#piece.subarray(0, this.#used));
    this.#flushed += this.#used;
    this.#used = 0;
  }

  write(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length;) {
      if (this.#used === PIECE) this.#flush();
      const part = bytes.subarray(at, at + PIECE - this.#used);
      this.#piece.set(part, this.#used);
      this.#used += part.length;
      at += part.length;
    }
  }

  header(header: TarHeader): void {
    if (this.#used + BLOCK > PIECE) this.#flush();
    if (writePlainHeader(this.#piece, this.#used, header)) this.#used += BLOCK;
    else this.write(longHeader(header));
  }

  /** Zeros up to the next block. */
  pad(size: number): void {
    const padding = paddingOf(size);
    if (this.#used + padding > PIECE) this.#flush();
    this.#piece.fill(0, this.#used, this.#used + padding);
    this.#used += padding;
  }

  /** As `content`, of no more than {@link SMALL} bytes, but nothing is written where they have not the sha256 DIGEST (hex). */
  contentIf(digest: string, size: number, read: ReadInto): boolean {
    if (PIECE - this.#used <= size) this.#flush();
    const start = this.#used;
    for (let count = 0; count < size;) {
      const got = read(this.#piece, start + count, size - count);
      if (got === 0) return false;
      count += got;
    }
    if (hash('sha256', this.#piece.subarray(start, start + size), 'hex') !== digest) return false;
    this.#used += size;
    return true;
  }

  /**
   * SIZE bytes of content read straight into the buffer that is written.
   * Returns their sha256 (hex) and whether exactly SIZE bytes were there.
   */
  content(size: number, read: ReadInto): { readonly digest: string; readonly whole: boolean } {
    if (PIECE - this.#used <= size) this.#flush();
    if (size < PIECE) {
      // One byte more than there should be tells whether the file has grown, without another read.
      const start = this.#used;
      let count = 0;
      let got;
      do {
        got = read(this.#piece, start + count, size + 1 - count);
        count += got;
      } while (got !== 0 && count < size);
      this.#used += size;
      return { digest: hash('sha256', this.#piece.subarray(start, start + size), 'hex'), whole: count === size };
    }
    const digest = createHash('sha256');
    for (let rest = size; rest > 0;) {
      if (this.#used === PIECE) this.#flush();
      const got = read(this.#piece, this.#used, Math.min(rest, PIECE - this.#used));
      if (got === 0) return { digest: '', whole: false };
      digest.update(this.#piece.subarray(this.#used, this.#used + got));
      this.#used += got;
      rest -= got;
    }
    return { digest: digest.digest('hex'), whole: read(Buffer.allocUnsafe(1), 0, 1) === 0 };
  }

  /** LENGTH bytes, whatever they are, written while they are hashed. Not where the tar is sent. False where there are fewer. */
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
        writing = this.#file.putLater(bytes);
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

  /** LENGTH bytes, whatever they are, that others write at this place. Not where the tar is sent. False where there are fewer. */
  async pass(length: number, read: ReadInto): Promise<boolean> {
    this.#flush();
    const buffer = Buffer.allocUnsafeSlow(Math.min(length, TAKEN));
    for (let rest = length; rest > 0;) {
      if (this.#aborted()) throw new Error('aborted');
      const got = read(buffer, 0, Math.min(rest, TAKEN));
      if (got === 0) return false;
      this.#file.pass(buffer.subarray(0, got));
      this.#flushed += got;
      rest -= got;
      // Lets those who write go on.
      await new Promise((resolve) => setImmediate(resolve));
    }
    return true;
  }

  /** Ends the tar. With `sync` it is on the disk when this returns. */
  finish(options: { readonly sync: boolean }): { readonly digest: Digest; readonly size: number } {
    this.write(Buffer.alloc(2 * BLOCK));
    return this.finishBytes(options);
  }

  /** Ends the file without end blocks: for a copy of a foreign tar. */
  finishBytes(options: { readonly sync: boolean }): { readonly digest: Digest; readonly size: number } {
    try {
      this.#flush();
      const ended = (this.#relay ?? this.#file).end();
      if (options.sync) fdatasyncSync(this.#fd);
      return ended;
    } catch (error) {
      throw writeFailure(error, this.#path);
    } finally {
      this.abandon();
    }
  }

  /** Gives the descriptor back, after a failure too; the file is the caller's to remove. */
  abandon(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#relay?.stop();
    closeSync(this.#fd);
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
