import { constants, deflateRawSync } from 'node:zlib';

import { noiseIn } from './noise.js';

/** A stored block of deflate has at most so many bytes. */
const STORED = 0xffff;
const WINDOW = 32 * 1024;

/** BYTES as they are, in deflate's form; begins and ends at whole bytes. */
function stored(bytes: Uint8Array, last: boolean): Uint8Array[] {
  const parts: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += STORED) {
    const part = bytes.subarray(at, at + STORED);
    const header = Buffer.alloc(5);
    header[0] = last && at + STORED >= bytes.length ? 1 : 0;
    header.writeUInt16LE(part.length, 1);
    header.writeUInt16LE(part.length ^ 0xffff, 3);
    parts.push(header, part);
  }
  return parts;
}

function deflated(bytes: Uint8Array, window: Uint8Array, level: number, last: boolean): Buffer {
  const finishFlush = last ? constants.Z_FINISH : constants.Z_SYNC_FLUSH;
  return deflateRawSync(bytes, { level, finishFlush, ...(window.length > 0 ? { dictionary: window } : {}) });
}

/**
 * A part of a deflate stream (RFC 1951): what of BYTES comes from START on, which what lies before serves as the window. All but the
 * LAST part end at a whole byte, so that parts made apart from each other make one stream. Noise is stored as it is.
 */
export function deflateBlock(bytes: Uint8Array, start: number, level: number, last: boolean): Uint8Array<ArrayBuffer> {
  const end = bytes.length;
  const noise = level === 0 ? (end > start ? [[start, end] as const] : []) : noiseIn(bytes, start);
  const parts: Uint8Array[] = [];
  let at = start;
  const upTo = (stop: number): void => {
    if (stop === at && end > start) return;
    // What follows noise has no window: noise is of no use as one.
    const window = bytes.subarray(at === start ? Math.max(0, start - WINDOW) : at, at);
    parts.push(deflated(bytes.subarray(at, stop), window, level, last && stop === end));
  };
  for (const [from, to] of noise) {
    upTo(from);
    parts.push(...stored(bytes.subarray(from, to), last && to === end));
    at = to;
  }
  upTo(end);
  return concatenated(parts);
}

/** In memory of its own, which can be given to another thread. */
function concatenated(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
