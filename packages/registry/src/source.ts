import type { ByteStream } from '@strake/core';
import { digestMismatch } from './errors.js';

/**
 * A stream that can be read in ranges, each one after the other or again from further back: then it is opened anew.
 * A range that is begun ends the one before it, wherever that was. What the stream itself throws is kept apart from
 * failures of the network.
 */
export class Source {
  readonly #open: () => ByteStream;
  readonly #size: number;
  readonly #what: string;
  #iterator: AsyncIterator<Uint8Array> | undefined;
  #rest: Uint8Array = new Uint8Array(0);
  #position = 0;
  /** Which range is the current one. */
  #turn = 0;
  #waiting = false;
  #failure: { readonly error: unknown } | undefined;

  constructor(open: () => ByteStream, size: number, what: string) {
    this.#open = open;
    this.#size = size;
    this.#what = what;
  }

  /** What reading failed with, where it did: no retry will help. */
  get failure(): { readonly error: unknown } | undefined {
    return this.#failure;
  }

  /**
   * The bytes from START to END (exclusive).
   * @throws StrakeError `DIGEST_MISMATCH` where the stream has another size than was promised
   */
  async *range(start: number, end: number): AsyncGenerator<Uint8Array> {
    const turn = ++this.#turn;
    try {
      if (this.#iterator === undefined || this.#waiting || start < this.#position) {
        await this.#reset();
        this.#iterator = this.#open()[Symbol.asyncIterator]();
      }
      while (this.#position < start) await this.#take(turn, start - this.#position);
      while (this.#position < end) yield await this.#take(turn, end - this.#position);
      if (end === this.#size && (this.#rest.length > 0 || (await this.#next(turn)) !== undefined)) this.#wrong('more');
    } catch (error) {
      if (turn === this.#turn) this.#failure ??= { error };
      throw error;
    }
  }

  /** Ends the stream and what is being read of it. */
  async close(): Promise<void> {
    this.#turn++;
    await this.#reset();
  }

  async #reset(): Promise<void> {
    const iterator = this.#iterator;
    const waiting = this.#waiting;
    this.#iterator = undefined;
    this.#rest = new Uint8Array(0);
    this.#position = 0;
    this.#waiting = false;
    const ended = Promise.resolve(iterator?.return?.()).then(
      () => undefined,
      () => undefined,
    );
    // A read that never comes back must not be waited for.
    if (!waiting) await ended;
  }

  async #next(turn: number): Promise<Uint8Array | undefined> {
    this.#waiting = true;
    const next = await this.#iterator?.next();
    if (turn !== this.#turn) throw new Error('another range is read now');
    this.#waiting = false;
    return !next || next.done ? undefined : next.value;
  }

  /** The next bytes, at most LIMIT. */
  async #take(turn: number, limit: number): Promise<Uint8Array> {
    while (this.#rest.length === 0) this.#rest = (await this.#next(turn)) ?? this.#wrong('fewer');
    if (turn !== this.#turn) throw new Error('another range is read now');
    const chunk = this.#rest.subarray(0, limit);
    this.#rest = this.#rest.subarray(chunk.length);
    this.#position += chunk.length;
    return chunk;
  }

  #wrong(how: 'more' | 'fewer'): never {
    throw digestMismatch(this.#what, `it has ${how} than ${this.#size} bytes`);
  }
}
