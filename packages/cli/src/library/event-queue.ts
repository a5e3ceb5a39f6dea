import type { ProgressEvent } from '@strake/core';

/** What a build tells while it runs. The last event is `finished`. Times are milliseconds since 1970. */
export type BuildEvent =
  | ProgressEvent
  /** Output that nobody read in time and that is not kept: so many bytes of the step, up to here. */
  | { readonly type: 'step-output-lost'; readonly id: string; readonly time: number; readonly bytes: number }
  /** The build has ended: well, or with the error (a {@link StrakeError}) that `result` is rejected with. */
  | { readonly type: 'finished'; readonly time: number; readonly error?: Error | undefined };

/** Bytes of output that wait for a reader at most. */
const OUTPUT_LIMIT = 1 << 20;
/** What an event costs besides its bytes. */
const OVERHEAD = 256;

type Output = Extract<BuildEvent, { type: 'step-output' }>;
type Lost = Extract<BuildEvent, { type: 'step-output-lost' }>;

/**
 * Events between a build, which never waits, and a reader, who may be slow or never come. What waits is bounded: of progress the
 * latest of each subject, of output the last {@link OUTPUT_LIMIT} bytes; of the rest a build has as many as its graph is large.
 * There is one reader: each event is given out once.
 */
export class EventQueue implements AsyncIterableIterator<BuildEvent> {
  /** By number, in their order. */
  readonly #waiting = new Map<number, BuildEvent>();
  readonly #progress = new Map<string, number>();
  readonly #lost = new Map<string, number>();
  /** Numbers of waiting output, the oldest first. */
  readonly #output = new Set<number>();
  readonly #readers: ((result: IteratorResult<BuildEvent, undefined>) => void)[] = [];
  #outputSize = 0;
  #next = 0;
  #ended = false;

  /** Events that wait. */
  get size(): number {
    return this.#waiting.size;
  }

  /** Takes an event. After `end`, and where the reader has gone, it is dropped. */
  push(event: BuildEvent): void {
    if (this.#ended) return;
    const reader = this.#readers.shift();
    if (reader) return reader({ done: false, value: event });
    const number = this.#next++;
    if (event.type === 'progress') {
      const subject = `${event.id} ${event.action} ${event.subject}`;
      const older = this.#progress.get(subject);
      if (older !== undefined) this.#waiting.delete(older);
      this.#progress.set(subject, number);
    }
    this.#waiting.set(number, event);
    if (event.type !== 'step-output') return;
    this.#output.add(number);
    this.#outputSize += event.data.length + OVERHEAD;
    while (this.#outputSize > OUTPUT_LIMIT) this.#lose();
  }

  /** What waits can still be read; then the iteration ends. */
  end(): void {
    this.#ended = true;
    for (const reader of this.#readers.splice(0)) reader({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<BuildEvent, undefined>> {
    for (const [number, event] of this.#waiting) {
      this.#forget(number, event);
      return Promise.resolve({ done: false, value: event });
    }
    if (this.#ended) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve) => this.#readers.push(resolve));
  }

  /** The reader has left its loop: nothing is kept any more. The build goes on. */
  return(): Promise<IteratorResult<BuildEvent, undefined>> {
    for (const kept of [this.#waiting, this.#progress, this.#lost, this.#output]) kept.clear();
    this.end();
    return Promise.resolve({ done: true, value: undefined });
  }

  /** Gives up the oldest output: a mark stands where it was. */
  #lose(): void {
    for (const number of this.#output) {
      const { id, time, data } = this.#waiting.get(number) as Output;
      this.#output.delete(number);
      this.#outputSize -= data.length + OVERHEAD;
      const at = this.#lost.get(id);
      const before = at === undefined ? undefined : (this.#waiting.get(at) as Lost);
      const lost: Lost = { type: 'step-output-lost', id, time, bytes: (before?.bytes ?? 0) + data.length };
      if (at === undefined) this.#lost.set(id, number);
      else this.#waiting.delete(number);
      this.#waiting.set(at ?? number, lost);
      return;
    }
  }

  #forget(number: number, event: BuildEvent): void {
    this.#waiting.delete(number);
    if (event.type === 'step-output') {
      this.#output.delete(number);
      this.#outputSize -= event.data.length + OVERHEAD;
    } else if (event.type === 'step-output-lost') this.#lost.delete(event.id);
    else if (event.type === 'progress') {
      const subject = `${event.id} ${event.action} ${event.subject}`;
      if (this.#progress.get(subject) === number) this.#progress.delete(subject);
    }
  }
}
