/** Bytes that are judged together. */
export const CELL: number = 16 * 1024;
/** How far back deflate finds repetitions. */
const WINDOW = 32 * 1024;
/** A cell is judged by samples, one in each of its stripes: all of its bytes would take longer than deflate takes for text. */
const STRIPE = CELL / 4;
/** Bytes of a stripe that are counted. */
const COUNTED = 512;
/**
 * The sum of the squares of how often each byte occurs, over that of bytes that are all as frequent: 1.12 for so many random bytes, up
 * to 1.21 for what is compressed already, 5 and more for text and machine code.
 */
const EVEN = 1.22;
/** Most of what is no noise shows in the first stripe. Of so few bytes, random ones are less even. */
const EVEN_AT_A_GLANCE = 2;
/** Bytes of a stripe at which a repetition is searched for. */
const SEARCHED = 128;
/** So many places in a cell where a repetition of eight bytes begins make it worth compressing, however even its bytes are. */
const REPETITIONS = 4;
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
  counts.fill(0);
  for (let stripe = start; stripe < start + CELL; stripe += STRIPE) {
    for (let i = stripe; i < stripe + COUNTED; i++) {
      const byte = bytes[i] ?? 0;
      counts[byte] = (counts[byte] ?? 0) + 1;
    }
    if (stripe === start && !evenness(COUNTED, EVEN_AT_A_GLANCE)) return false;
  }
  return evenness((CELL / STRIPE) * COUNTED, EVEN);
}

/** Where in BYTES something is that comes again. */
class Repetitions {
  readonly #view: DataView;
  readonly #places = new Int32Array(1 << HASH_BITS).fill(NOWHERE);
  /** What lies in front of it is remembered, as far as the window reaches. */
  #end = 0;

  constructor(bytes: Uint8Array) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  /** Whether the cell at START repeats itself, or what lies in the window before it. */
  inCell(start: number): boolean {
    let found = 0;
    for (let stripe = start; stripe < start + CELL && found < REPETITIONS; stripe += STRIPE) {
      this.#remember(stripe);
      found += this.#count(stripe);
    }
    return found >= REPETITIONS;
  }

  #count(stripe: number): number {
    const view = this.#view;
    const places = this.#places;
    let found = 0;
    for (let i = stripe; i < stripe + SEARCHED; i++) {
      const word = view.getInt32(i, true);
      const place = places[slotOf(word)] ?? NOWHERE;
      if (place === NOWHERE || i - place > WINDOW || view.getInt32(place, true) !== word) continue;
      if (view.getInt32(place + 4, true) === view.getInt32(i + 4, true)) found++;
    }
    return found;
  }

  #remember(end: number): void {
    const view = this.#view;
    const places = this.#places;
    for (let i = Math.max(this.#end, end - WINDOW); i + 8 <= end; i += STRIDE) {
      places[slotOf(view.getInt32(i, true))] = i;
    }
    this.#end = end;
  }
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
  const repetitions = new Repetitions(bytes);
  for (let start = from; start + CELL <= bytes.length; start += CELL) {
    if (!isEven(bytes, start, counts) || repetitions.inCell(start)) continue;
    const last = runs.at(-1);
    if (last?.[1] === start) last[1] = start + CELL;
    else runs.push([start, start + CELL]);
  }
  return runs;
}
