import { isUtf8 } from 'node:buffer';

// With the u flag only surrogates that are no half of a pair match.
const ESCAPED = /[\udc80-\udcff]/u;

/** The length of the valid UTF-8 sequence that starts at AT, 0 where none does. */
function sequenceAt(bytes: Uint8Array, at: number): number {
  const first = bytes[at] ?? 0;
  const length = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
  return length > 0 && at + length <= bytes.length && isUtf8(bytes.subarray(at, at + length)) ? length : 0;
}

/**
 * File names as text. Linux names are bytes: what is no UTF-8 in them becomes lone surrogates U+DC80 to U+DCFF, a byte each
 * (as Python's `surrogateescape`), so that {@link bytesOfText} gives back the same bytes.
 */
export function textOfBytes(bytes: Uint8Array): string {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  if (isUtf8(buffer)) return buffer.toString('utf8');
  let text = '';
  let start = 0;
  for (let at = 0; at < buffer.length;) {
    const length = sequenceAt(buffer, at);
    if (length === 0) {
      text += buffer.toString('utf8', start, at) + String.fromCharCode(0xdc00 + (buffer[at] ?? 0));
      start = at + 1;
    }
    at += length || 1;
  }
  return text + buffer.toString('utf8', start);
}

/** The bytes of a text made by {@link textOfBytes}; any other text as UTF-8. */
export function bytesOfText(text: string): Buffer {
  if (!ESCAPED.test(text)) return Buffer.from(text, 'utf8');
  const parts: Buffer[] = [];
  let start = 0;
  const escaped = new RegExp(ESCAPED.source, 'gu');
  for (let match = escaped.exec(text); match; match = escaped.exec(text)) {
    parts.push(Buffer.from(text.slice(start, match.index), 'utf8'), Buffer.of(text.charCodeAt(match.index) - 0xdc00));
    start = match.index + 1;
  }
  return Buffer.concat([...parts, Buffer.from(text.slice(start), 'utf8')]);
}

/** Whether TEXT holds bytes that are no UTF-8: then node:fs must be given {@link bytesOfText}, not the text. */
export function hasEscapedBytes(text: string): boolean {
  return ESCAPED.test(text);
}

const LONE = /[\ud800-\udfff]/gu;

/**
 * A value of JSON with U+FFFD for what is no Unicode in its texts and names, as Go writes it: other programs do not read lone
 * surrogates.
 */
export function wellFormed<T>(value: T): T {
  if (typeof value === 'string') return value.replace(LONE, '\ufffd') as T;
  if (Array.isArray(value)) return value.map(wellFormed) as T;
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, held]) => [wellFormed(name), wellFormed(held as unknown)]),
  ) as T;
}
