import type { Digest } from '@strake/core';
import { startWriteBack } from '@strake/sys';

import { plainError, revivedError } from '../plain-error.js';
import type { PlainError } from '../worker-protocol.js';
import { PIECE, TarFile } from './tar-file.js';

/** Pieces that may be on their way: 16 MiB. */
const PIECES = 64;
/** So many are kept back before another thread is asked for: a smaller tar is written in the time that one takes to start. */
const PATIENCE = 32;
/** Pieces after which the disk is to begin with what it has not: 16 MiB. */
const BATCH = 64;
/** Bytes for the result or the error, as JSON. */
const RESULT = 16 << 10;

/**
 * Numbers that both threads see. `changes` counts whatever the first thread does, to be waited for; `given` and `written` are
 * counts of pieces; `order` is one of `Order`, `state` of `State`; lengths of the pieces follow.
 */
const Place = { changes: 0, given: 1, written: 2, order: 3, state: 4, resultLength: 5, lengths: 6 } as const;
const Order = { go: 0, end: 1, stop: 2 } as const;
const State = { working: 0, ended: 1, failed: 2 } as const;

/** What the two threads share of one tar. */
export interface RelayedTar {
  readonly path: string;
  readonly fd: number;
  readonly control: Int32Array;
  readonly pieces: Uint8Array;
  readonly result: Uint8Array;
}

/** Gives a tar to a thread that calls {@link writeRelayed} with it. */
export type SendTar = (tar: RelayedTar) => void;

interface EndedTar {
  readonly digest: Digest;
  readonly size: number;
}

type Result = EndedTar | PlainError;

/** Bytes of a tar on the way to another thread, which hashes and writes them while this one makes the next. */
export class TarRelay {
  readonly #tar: RelayedTar;
  readonly #send: SendTar;
  #given = 0;
  #sent = false;

  /** FD: the file's, which the caller opens and closes. */
  constructor(path: string, fd: number, send: SendTar) {
    this.#send = send;
    this.#tar = {
      path,
      fd,
      control: new Int32Array(new SharedArrayBuffer((Place.lengths + PIECES) * 4)),
      // Pages that nothing is written to take no memory.
      pieces: new Uint8Array(new SharedArrayBuffer(PIECES * PIECE)),
      result: new Uint8Array(new SharedArrayBuffer(RESULT)),
    };
  }

  /** The piece to be filled next: {@link PIECE} bytes. */
  get piece(): Buffer {
    const { pieces } = this.#tar;
    return Buffer.from(pieces.buffer, (this.#given % PIECES) * PIECE, PIECE);
  }

  /** Hands over the first LENGTH bytes of the piece. @throws StrakeError `DISK_FULL` where an earlier one could not be written */
  pass(length: number): void {
    const { control } = this.#tar;
    control[Place.lengths + (this.#given % PIECES)] = length;
    this.#given++;
    Atomics.store(control, Place.given, this.#given);
    this.#changed();
    if (!this.#sent && this.#given >= PATIENCE) {
      this.#send(this.#tar);
      this.#sent = true;
    }
    for (;;) {
      const written = Atomics.load(control, Place.written);
      if (Atomics.load(control, Place.state) === State.failed) this.#result();
      if (this.#given - written < PIECES) return;
      Atomics.wait(control, Place.written, written);
    }
  }

  #changed(): void {
    Atomics.add(this.#tar.control, Place.changes, 1);
    Atomics.notify(this.#tar.control, Place.changes);
  }

  /** Waits until all is written. @throws StrakeError `DISK_FULL` */
  end(): EndedTar {
    if (!this.#sent) return this.#writeHere();
    this.#order(Order.end);
    return this.#result();
  }

  #writeHere(): EndedTar {
    const { path, fd } = this.#tar;
    const file = new TarFile(path, fd);
    for (let number = 0; number < this.#given; number++) file.put(pieceOf(this.#tar, number));
    return file.end();
  }

  /** Waits until the other thread is done with the file, whatever becomes of it. */
  stop(): void {
    if (this.#sent) this.#order(Order.stop);
  }

  #order(order: number): void {
    const { control } = this.#tar;
    Atomics.store(control, Place.order, order);
    this.#changed();
    Atomics.wait(control, Place.state, State.working);
  }

  #result(): EndedTar {
    const { control, result } = this.#tar;
    const told = JSON.parse(Buffer.from(result.slice(0, control[Place.resultLength])).toString('utf8')) as Result;
    if ('digest' in told) return told;
    throw revivedError(told);
  }
}

function pieceOf({ control, pieces }: RelayedTar, number: number): Uint8Array {
  const place = number % PIECES;
  return pieces.subarray(place * PIECE, place * PIECE + (control[Place.lengths + place] ?? 0));
}

/** Writes a tar whose bytes another thread gives; returns when that has ended or stopped it, or it cannot be written. */
export function writeRelayed(tar: RelayedTar): void {
  const { control } = tar;
  const file = new TarFile(tar.path, tar.fd);
  try {
    for (let written = 0; ;) {
      const changes = Atomics.load(control, Place.changes);
      const order = Atomics.load(control, Place.order);
      if (order === Order.stop) return settle(tar, State.failed, { message: 'stopped' });
      if (written < Atomics.load(control, Place.given)) {
        file.put(pieceOf(tar, written++));
        if (written % BATCH === 0) writeBack(tar, file);
        Atomics.store(control, Place.written, written);
        Atomics.notify(control, Place.written);
      } else if (order === Order.end) return settle(tar, State.ended, file.end());
      else Atomics.wait(control, Place.changes, changes);
    }
  } catch (error) {
    settle(tar, State.failed, plainError(error));
  }
}

/** Has the disk begin with the end of FILE. Only to have it done earlier: where that cannot be asked for, all is synced in the end. */
function writeBack({ fd }: RelayedTar, { size }: TarFile): void {
  const length = BATCH * PIECE;
  try {
    startWriteBack(fd, Math.max(0, size - length), length);
  } catch {
    // As it was.
  }
}

function settle({ control, result }: RelayedTar, state: number, told: Result): void {
  const text = Buffer.from(JSON.stringify(told), 'utf8');
  result.set(text);
  control[Place.resultLength] = text.length;
  Atomics.store(control, Place.state, state);
  Atomics.notify(control, Place.state);
  // Whoever waits for room is to see it, too.
  Atomics.add(control, Place.written, 1);
  Atomics.notify(control, Place.written);
}
