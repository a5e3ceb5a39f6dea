import { tarChecksumFits, type ByteStream } from '@strake/core';

const BLOCK = 512;

/** The bytes of a tar, taken as they are asked for. */
export class TarInput {
  readonly #chunks: AsyncIterator<Uint8Array>;
  #rest = new Uint8Array(0);
  #content = 0;
  #position = 0;

  constructor(bytes: ByteStream) {
    this.#chunks = bytes[Symbol.asyncIterator]();
  }

  /** How many bytes were taken. */
  get position(): number {
    return this.#position;
  }

  async close(): Promise<void> {
    await this.#chunks.return?.();
  }

  /** The next header; undefined at the end: two empty blocks, or no more bytes. */
  async block(): Promise<Buffer | undefined> {
    for (let empty = 0; empty < 2; empty++) {
      if (!(await this.#fill())) return undefined;
      const block = Buffer.from(await this.take(BLOCK));
      if (block.some((byte) => byte !== 0)) {
        if (empty > 0 || !tarChecksumFits(block)) throw new Error('it is damaged, or no tar at all');
        return block;
      }
    }
    return undefined;
  }

  /** COUNT bytes. */
  async take(count: number): Promise<Uint8Array> {
    const parts: Uint8Array[] = [];
    for (let missing = count; missing > 0;) {
      if (!(await this.#fill())) throw new Error('it is cut short');
      const part = this.#rest.subarray(0, missing);
      this.#rest = this.#rest.subarray(part.length);
      this.#position += part.length;
      missing -= part.length;
      parts.push(part);
    }
    return parts.length === 1 && parts[0] ? parts[0] : Buffer.concat(parts);
  }

  /** Says how long the content is that comes next. */
  open(size: number): void {
    this.#content = size;
  }

  /** What was not yet read of the content. */
  async *content(): AsyncGenerator<Uint8Array> {
    while (this.#content > 0) {
      if (!(await this.#fill())) throw new Error('it is cut short');
      const part = this.#rest.subarray(0, this.#content);
      this.#rest = this.#rest.subarray(part.length);
      this.#position += part.length;
      this.#content -= part.length;
      yield part;
    }
  }

  /** Reads what follows the end: only then it is known that nothing is missing of a compressed tar. */
  async drain(): Promise<void> {
    while (await this.#fill()) this.#rest = new Uint8Array(0);
  }

  /** Takes COUNT bytes off the content. */
  async takeContent(count: number): Promise<Uint8Array> {
    if (count > this.#content) throw new Error('its content is too short');
    this.#content -= count;
    return this.take(count);
  }

  /** Whether there is another byte. */
  async #fill(): Promise<boolean> {
    while (this.#rest.length === 0) {
      const next = await this.#chunks.next();
      if (next.done) return false;
      this.#rest = next.value as Uint8Array<ArrayBuffer>;
    }
    return true;
  }
}
