/** Bytes of the longest frame header (RFC 8878, 3.1.1.1): magic, descriptor, window, dictionary, content size. */
const LONGEST_HEADER = 18;
const MAGIC = 0xfd2fb528;

/**
 * Follows zstd frames that come in pieces, without unpacking them, to tell how large a window each asks for: decoders make a buffer
 * of that size, and one byte can ask for gigabytes.
 */
export class ZstdFrames {
  readonly #limit: number;
  #head: Buffer = Buffer.alloc(0);
  /** Bytes to pass over before the next header of a frame or block. */
  #skip = 0;
  #inFrame = false;
  #checksum = false;

  /** LIMIT: of a window, in bytes. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Whether all frames so far keep to the limit. What is no frame is left to the decoder to refuse. */
  accepts(chunk: Uint8Array): boolean {
    for (let at = 0; at < chunk.length;) {
      if (this.#skip > 0) {
        const part = Math.min(this.#skip, chunk.length - at);
        this.#skip -= part;
        at += part;
        continue;
      }
      this.#head = Buffer.concat([this.#head, chunk.subarray(at, at + 1)]);
      at++;
      if (!(this.#inFrame ? this.#block() : this.#frame())) return false;
    }
    return true;
  }

  #frame(): boolean {
    const head = this.#head;
    if (head.length < 8) return true;
    const magic = head.readUInt32LE();
    if ((magic & 0xfffffff0) >>> 0 === 0x184d2a50) {
      this.#skip = head.readUInt32LE(4);
      this.#head = Buffer.alloc(0);
      return true;
    }
    if (magic !== MAGIC) {
      this.#skip = Infinity;
      return true;
    }
    const descriptor = head[4] ?? 0;
    const single = (descriptor & 0x20) !== 0;
    const dictionary = [0, 1, 2, 4][descriptor & 3] ?? 0;
    const sizeBytes = [single ? 1 : 0, 2, 4, 8][descriptor >> 6] ?? 0;
    const length = 5 + (single ? 0 : 1) + dictionary + sizeBytes;
    if (head.length < Math.min(length, LONGEST_HEADER)) return true;
    this.#inFrame = true;
    this.#checksum = (descriptor & 4) !== 0;
    const window = single ? contentSize(head, length - sizeBytes, sizeBytes) : windowSize(head[5] ?? 0);
    // Where a header is shorter than what was gathered, the rest belongs to the first block.
    const rest = head.subarray(length);
    this.#head = Buffer.alloc(0);
    return window <= this.#limit && this.accepts(rest);
  }

  #block(): boolean {
    const head = this.#head;
    if (head.length < 3) return true;
    const header = head.readUIntLE(0, 3);
    const last = (header & 1) !== 0;
    const repeated = ((header >> 1) & 3) === 1;
    this.#skip = (repeated ? 1 : header >> 3) + (last && this.#checksum ? 4 : 0);
    if (last) this.#inFrame = false;
    this.#head = Buffer.alloc(0);
    return true;
  }
}

function windowSize(byte: number): number {
  const base = 2 ** (10 + (byte >> 3));
  return base + (base / 8) * (byte & 7);
}

function contentSize(head: Buffer, at: number, bytes: number): number {
  if (bytes === 1) return head[at] ?? 0;
  if (bytes === 2) return head.readUInt16LE(at) + 256;
  if (bytes === 4) return head.readUInt32LE(at);
  return Number(head.readBigUInt64LE(at));
}
