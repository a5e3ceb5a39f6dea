import { open, type FileHandle } from 'node:fs/promises';

import { errnoOf, type Digest } from '@strake/core';

const CHUNK = 1 << 18;
/** Bytes of what was written last that are kept: whoever keeps up reads nothing from the file. */
const RECENT = 8 << 20;

/** A file that is read while it is written; whoever writes it tells how far that has come. Readers neither wait for each other nor hold it up. */
export class GrowingFile {
  #path: string | undefined;
  #size = 0;
  /** What was written last, in order. */
  readonly #recent: { readonly start: number; readonly bytes: Uint8Array }[] = [];
  #whole = false;
  #failure: { readonly error: unknown } | undefined;
  #changed: Promise<void>;
  #tell: () => void = () => undefined;
  #name: (facts: { readonly digest: Digest; readonly size: number }) => void = () => undefined;
  #refuse: (error: unknown) => void = () => undefined;
  /** What it turns out to be, as soon as all is written and before that has reached the disk; rejects where writing fails. */
  readonly facts: Promise<{ readonly digest: Digest; readonly size: number }>;

  constructor() {
    this.facts = new Promise((resolve, reject) => {
      this.#name = resolve;
      this.#refuse = reject;
    });
    this.facts.catch(() => undefined);
    this.#changed = new Promise((resolve) => (this.#tell = resolve));
  }

  /** The file is at PATH from now on. */
  movedTo(path: string): void {
    this.#path = path;
    this.#wake();
  }

  /** BYTES, which nobody changes any more, were written at its end. */
  grewBy(bytes: Uint8Array): void {
    this.#recent.push({ start: this.#size, bytes });
    this.#size += bytes.length;
    while (this.#size - (this.#recent[0]?.start ?? this.#size) > RECENT) this.#recent.shift();
    this.#wake();
  }

  /** There is nothing more to come. */
  end(facts: { readonly digest: Digest; readonly size: number }): void {
    this.#whole = true;
    this.#size = facts.size;
    this.#name(facts);
    this.#wake();
  }

  fail(error: unknown): void {
    this.#failure ??= { error };
    this.#refuse(error);
    this.#wake();
  }

  /** The bytes from the first one on, as they are written. Throws what writing failed with. */
  async *read(): AsyncGenerator<Uint8Array> {
    const handle = await this.#open();
    try {
      for (let at = 0; ;) {
        const changed = this.#changed;
        if (this.#failure) throw this.#failure.error;
        if (at < this.#size) {
          const chunk = this.#recentAt(at) ?? (await readAt(handle, at, Math.min(CHUNK, this.#size - at)));
          at += chunk.length;
          yield chunk;
        } else if (this.#whole) return;
        else await changed;
      }
    } finally {
      await handle.close();
    }
  }

  #recentAt(position: number): Uint8Array | undefined {
    const found = this.#recent.findLast(({ start }) => start <= position);
    return found && position < found.start + found.bytes.length
      ? found.bytes.subarray(position - found.start)
      : undefined;
  }

  async #open(): Promise<FileHandle> {
    for (;;) {
      const changed = this.#changed;
      const path = this.#path;
      if (this.#failure) throw this.#failure.error;
      try {
        if (path !== undefined) return await open(path, 'r');
      } catch (error) {
        // It has just been moved.
        if (errnoOf(error) !== 'ENOENT') throw error;
        if (this.#path !== path) continue;
      }
      await changed;
    }
  }

  #wake(): void {
    const tell = this.#tell;
    this.#changed = new Promise((resolve) => (this.#tell = resolve));
    tell();
  }
}

/** Zeros where nothing is stored: a hole at the end becomes part of the file when that is whole. */
async function readAt(handle: FileHandle, position: number, size: number): Promise<Uint8Array> {
  const chunk = Buffer.alloc(size);
  await handle.read(chunk, 0, size, position);
  return chunk;
}
