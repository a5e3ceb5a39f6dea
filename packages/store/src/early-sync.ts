import type { FileHandle } from 'node:fs/promises';

/** Bytes that are written before the disk is asked to begin. */
const STEP = 32 << 20;

/** Brings a file to the disk while it is written, so that the end of a large one waits for the last of it only. */
export class EarlySync {
  readonly #file: Pick<FileHandle, 'datasync'>;
  #waiting = 0;
  #running: Promise<void> | undefined;
  #failure: { readonly error: unknown } | undefined;

  constructor(file: Pick<FileHandle, 'datasync'>) {
    this.#file = file;
  }

  /** To be told of BYTES more in the file. */
  wrote(bytes: number): void {
    this.#waiting += bytes;
    if (this.#waiting < STEP || this.#running) return;
    this.#waiting = 0;
    // The kernel tells each failure to write once: what it told here, it does not say in the end.
    this.#running = this.#file
      .datasync()
      .catch((error: unknown) => (this.#failure ??= { error }))
      .then(() => (this.#running = undefined));
  }

  /** Resolves when all is on the disk. Throws what bringing it there failed with. */
  async end(): Promise<void> {
    await this.settled();
    if (this.#failure) throw this.#failure.error;
    await this.#file.datasync();
  }

  /** Resolves when the file can be closed. */
  async settled(): Promise<void> {
    await this.#running;
  }
}
