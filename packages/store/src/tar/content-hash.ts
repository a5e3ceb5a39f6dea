import { createHash, hash, type Hash } from 'node:crypto';

import { sourceChanged } from '../errors.js';
import type { Segments } from '../entries.js';
import type { ReadInto } from './sink.js';

const ZEROS = Buffer.alloc(256 * 1024);

/** The sha256 of a file's content that comes in pieces, holes filled with zeros. */
export class ContentHash {
  readonly #size: number;
  readonly #segments: Segments | undefined;
  #hash: Hash | undefined;
  #single: Buffer | undefined;
  #segment = 0;
  #inSegment = 0;
  #end = 0;

  constructor(size: number, segments: Segments | undefined) {
    this.#size = size;
    this.#segments = segments;
  }

  #zeros(length: number): void {
    this.#hash ??= createHash('sha256');
    for (let rest = length; rest > 0; rest -= ZEROS.length) {
      this.#hash.update(rest < ZEROS.length ? ZEROS.subarray(0, rest) : ZEROS);
    }
  }

  /** BYTES may be used again by the caller only after `finish` where they are all of the content. */
  update(bytes: Buffer): void {
    if (!this.#segments) {
      // Most files come in one piece: the one-shot function costs half as much.
      if (!this.#hash && bytes.length === this.#size) this.#single = bytes;
      else (this.#hash ??= createHash('sha256')).update(bytes);
      return;
    }
    for (let at = 0; at < bytes.length;) {
      const [start, length] = this.#segments[this.#segment] ?? [this.#size, bytes.length];
      if (this.#inSegment === 0) this.#zeros(start - this.#end);
      const part = bytes.subarray(at, at + length - this.#inSegment);
      (this.#hash ??= createHash('sha256')).update(part);
      at += part.length;
      this.#inSegment += part.length;
      this.#end = start + this.#inSegment;
      if (this.#inSegment === length) {
        this.#segment++;
        this.#inSegment = 0;
      }
    }
  }

  finish(): Buffer {
    if (this.#single) return Buffer.from(hash('sha256', this.#single, 'hex'), 'hex');
    if (this.#segments) this.#zeros(this.#size - this.#end);
    return (this.#hash ?? createHash('sha256')).digest();
  }
}

/** The sha256 of a sparse file as it is read, in hex. READ gives its pieces one after the other. */
export function sparseDigest(size: number, segments: Segments, read: ReadInto): string {
  const content = new ContentHash(size, segments);
  const buffer = Buffer.allocUnsafe(ZEROS.length);
  for (let rest = segments.reduce((sum, [, length]) => sum + length, 0); rest > 0;) {
    const got = read(buffer, 0, Math.min(rest, buffer.length));
    if (got === 0) throw sourceChanged('a sparse file', 'it ends too early');
    content.update(buffer.subarray(0, got));
    rest -= got;
  }
  return content.finish().toString('hex');
}
