import type { ByteStream } from '@strake/core';

const BLOCK = 512;

/**
 * A layer's tar with no time after EPOCH (seconds since 1970), as BuildKit's `rewrite-timestamp` has it: later ones become EPOCH,
 * earlier ones stay. Nothing else changes. TAR must be sound: one that the store made.
 */
export async function* clampTimes(tar: ByteStream, epoch: number): AsyncGenerator<Uint8Array> {
  const input = new Input(tar);
  try {
    // Records of the extended header that belong to the next entry.
    let extended: { readonly header: Buffer; readonly records: readonly Record[] } | undefined;
    for (;;) {
      const header = await input.take(BLOCK);
      if (!header) return;
      const type = header[156];
      if (type === 0x78) {
        const body = await input.take(padded(numberAt(header, 124, 12)));
        if (body) extended = { header, records: recordsOf(body.subarray(0, numberAt(header, 124, 12))) };
        continue;
      }
      const stated = (key: string): string | undefined => extended?.records.find((record) => record.key === key)?.value;
      const size = Number(stated('size') ?? numberAt(header, 124, 12));
      const late = Number(stated('mtime') ?? numberAt(header, 136, 12)) > epoch;
      if (extended) {
        const kept = extended.records.filter(
          ({ key }) => !(late && key === 'mtime') && key !== 'atime' && key !== 'ctime',
        );
        yield* extendedHeader(
          extended.header,
          kept.map((record) => bornBefore(record, epoch)),
        );
      }
      yield late ? withTime(header, epoch) : header;
      extended = undefined;
      yield* input.pass(padded(size));
    }
  } finally {
    await input.close();
  }
}

interface Record {
  readonly key: string;
  readonly value: string;
  readonly bytes: Buffer;
}

function padded(size: number): number {
  return Math.ceil(size / BLOCK) * BLOCK;
}

function recordsOf(body: Buffer): Record[] {
  const records: Record[] = [];
  for (let at = 0; at < body.length;) {
    const length = parseInt(body.toString('latin1', at, at + 20), 10);
    if (!(length > 0)) break;
    const bytes = body.subarray(at, at + length);
    const text = bytes.toString('latin1');
    const start = text.indexOf(' ') + 1;
    const equals = text.indexOf('=', start);
    records.push({ key: text.slice(start, equals), value: text.slice(equals + 1, -1), bytes });
    at += length;
  }
  return records;
}

function* extendedHeader(header: Buffer, records: readonly Record[]): Generator<Uint8Array> {
  if (records.length === 0) return;
  const body = Buffer.concat(records.map(({ bytes }) => bytes));
  const changed = Buffer.from(header);
  changed.write(`${body.length.toString(8).padStart(11, '0')}\0`, 124, 'latin1');
  yield summed(changed);
  yield Buffer.concat([body], padded(body.length));
}

/** Entries for Windows tell when they were made, too. BuildKit leaves that, and no build is as the one before. */
function bornBefore(record: Record, epoch: number): Record {
  const { key, value } = record;
  if (key !== 'LIBARCHIVE.creationtime' || !(Number(value) > epoch)) return record;
  const clamped = `${Math.max(0, epoch)}.0`;
  const rest = ` ${key}=${clamped}\n`;
  let length = rest.length;
  // It counts itself.
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
  return { key, value: clamped, bytes: Buffer.from(`${length}${rest}`, 'latin1') };
}

function withTime(header: Buffer, time: number): Buffer {
  const changed = Buffer.from(header);
  changed.write(`${Math.max(0, time).toString(8).padStart(11, '0')}\0`, 136, 'latin1');
  return summed(changed);
}

function summed(header: Buffer): Buffer {
  header.fill(0x20, 148, 156);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return header;
}

function numberAt(header: Buffer, start: number, length: number): number {
  const field = header.subarray(start, start + length);
  if (((field[0] ?? 0) & 0x80) !== 0) {
    return field.reduce((total, byte, index) => total * 256 + (index === 0 ? byte & 0x7f : byte), 0);
  }
  return parseInt(field.toString('latin1').replace(/\0.*$/s, '').trim() || '0', 8);
}

/** The bytes of a stream in pieces of the length that is asked for. */
class Input {
  readonly #iterator: AsyncIterator<Uint8Array>;
  #rest: Buffer = Buffer.alloc(0);

  constructor(stream: ByteStream) {
    this.#iterator = stream[Symbol.asyncIterator]();
  }

  /** So many bytes; undefined where the stream has fewer. */
  async take(length: number): Promise<Buffer | undefined> {
    const chunks: Buffer[] = [];
    for await (const chunk of this.pass(length)) chunks.push(chunk);
    const bytes = Buffer.concat(chunks);
    return bytes.length === length ? bytes : undefined;
  }

  async *pass(length: number): AsyncGenerator<Buffer> {
    for (let left = length; left > 0;) {
      if (this.#rest.length === 0) {
        const next = await this.#iterator.next();
        if (next.done) return;
        this.#rest = Buffer.from(next.value.buffer, next.value.byteOffset, next.value.length);
      }
      const piece = this.#rest.subarray(0, left);
      this.#rest = this.#rest.subarray(piece.length);
      left -= piece.length;
      if (piece.length > 0) yield piece;
    }
  }

  async close(): Promise<void> {
    await this.#iterator.return?.();
  }
}
