import { harmlessLines } from '../progress/text.js';
import type { Masker } from './mask.js';

/** Bytes that are kept of a step's output, at its beginning and at its end. */
const HEAD = 64 << 10;
const TAIL = 192 << 10;
/** Bytes of all steps' output together; of steps that come later only the last lines stay. */
const ALL = 24 << 20;
const SHORT_TAIL = 4 << 10;

/** Room that the outputs of all steps share. */
export interface OutputRoom {
  left: number;
}

export function outputRoom(): OutputRoom {
  return { left: ALL };
}

/** The beginning and the end of a step's output. */
export class KeptOutput {
  readonly #room: OutputRoom;
  readonly #head: Buffer[] = [];
  #headSize = 0;
  #tail: Buffer[] = [];
  #tailSize = 0;
  #lost = 0;

  constructor(room: OutputRoom) {
    this.#room = room;
  }

  add(data: Uint8Array): void {
    let bytes = Buffer.from(data);
    const room = Math.min(HEAD - this.#headSize, this.#room.left);
    if (room > 0 && this.#tailSize === 0) {
      const first = bytes.subarray(0, room);
      this.#head.push(first);
      this.#headSize += first.length;
      this.#room.left -= first.length;
      bytes = bytes.subarray(first.length);
    }
    if (bytes.length === 0) return;
    this.#tail.push(bytes);
    this.#tailSize += bytes.length;
    const most = this.#room.left > TAIL ? TAIL : SHORT_TAIL;
    // Joined now and then, so that a step that prints byte by byte costs no more.
    if (this.#tailSize <= 2 * most && this.#tail.length < 4096) return;
    const all = Buffer.concat(this.#tail);
    const kept = all.subarray(Math.max(0, all.length - most));
    this.#lost += all.length - kept.length;
    this.#tail = [Buffer.from(kept)];
    this.#tailSize = kept.length;
  }

  /** As text, secrets hidden, without what a terminal takes for commands or a reader for another direction of writing. */
  text(mask: Masker): string {
    const clean = (text: string): string => mask(harmlessLines(mask(text)));
    const tail = Buffer.concat(this.#tail);
    if (this.#lost === 0) return clean(Buffer.concat([...this.#head, tail]).toString('utf8'));
    // At a cut there may be a part of a secret: it goes, with the line that it is in.
    const head = Buffer.concat(this.#head).toString('utf8');
    const before = clean(head.slice(0, Math.max(0, head.length - mask.longest)));
    const after = clean(tail.toString('utf8').slice(mask.longest));
    const end = after.slice(after.indexOf('\n') + 1);
    return `${before.slice(0, before.lastIndexOf('\n') + 1)}[… ${this.#lost} bytes are left out …]\n${end}`;
  }
}
