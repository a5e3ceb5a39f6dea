/** Bytes that are judged together. */
export const CELL: number = 16 * 1024;
/** How far back deflate finds repetitions. */
const WINDOW = 32 * 1024;
/**
 * The sum of the squares of how often each byte occurs, over that of bytes that are all as frequent: 1.02 for random bytes, up to
 * 1.1 for what is compressed already, 5 and more for text and machine code.
 */
const EVEN = 1.1;
/** Most of what is no noise shows in the first bytes of a cell. Of so few, random ones are less even. */
const GLANCE = 1024;
const EVEN_AT_A_GLANCE = 2;
/** What of a cell is searched for repetitions: they take four times as long to find as the frequencies of bytes. */
const SEARCHED = 4 * 1024;
/** So many places of that where a repetition of eight bytes begins make a cell worth compressing, however even its bytes are. */
const REPETITIONS = 16;
/** Every so many bytes a place is remembered: what is repeated at that length and eight more is seen. */
const STRIDE = 16;
const HASH_BITS = 13;
const NOWHERE = -1;

function isEven(bytes: Uint8Array, start: number, counts: Uint32Array): boolean {
  const evenness = (size: number, limit: number): boolean => {
    let squares = 0;
    for (const count of counts) squares += count * count;
    return squares * counts.length < limit * size * size;
  };
  const count = (from: number, to: number): void => {
    for (let i = from; i < to; i++) {
      const byte = bytes[i] ?? 0;
      counts[byte] = (counts[byte] ?? 0) + 1;
    }
  };
  counts.fill(0);
  count(start, start + GLANCE);
  if (!evenness(GLANCE, EVEN_AT_A_GLANCE)) return false;
  count(start + GLANCE, start + CELL);
  return evenness(CELL, EVEN);
}

function slotOf(word: number): number {
  return Math.imul(word, 0x9e3779b1) >>> (32 - HASH_BITS);
}

/**
 * The parts of BYTES behind FROM that compressing does not make smaller: media, archives, what is encrypted. Start and end of each, in
 * order, whole cells. Noise takes deflate ten times as long as text. What is found depends on the bytes alone, by integers alone.
 */
export function noiseIn(bytes: Uint8Array, from: number): (readonly [start: number, end: number])[] {
  const runs: [number, number][] = [];
  const counts = new Uint32Array(256);
  const places = new Int32Array(1 << HASH_BITS).fill(NOWHERE);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const remember = (start: number, end: number): void => {
    for (let i = start; i + 8 <= end; i += STRIDE) places[slotOf(view.getInt32(i, true))] = i;
  };
  const repeats = (start: number): boolean => {
    let found = 0;
    for (let i = start; i < start + SEARCHED; i++) {
      const word = view.getInt32(i, true);
      const slot = slotOf(word);
      const place = places[slot] ?? NOWHERE;
      if (place !== NOWHERE && i - place <= WINDOW && view.getInt32(place, true) === word) {
        if (view.getInt32(place + 4, true) === view.getInt32(i + 4, true) && ++found >= REPETITIONS) return true;
      }
      if ((i - start) % STRIDE === 0) places[slot] = i;
    }
    return false;
  };
  remember(0, from);
  for (let start = from; start + CELL <= bytes.length; start += CELL) {
    const noise = isEven(bytes, start, counts) && !repeats(start);
    remember(start, start + CELL);
    if (!noise) continue;
    const last = runs.at(-1);
    if (last?.[1] === start) last[1] = start + CELL;
    else runs.push([start, start + CELL]);
  }
  return runs;
}
