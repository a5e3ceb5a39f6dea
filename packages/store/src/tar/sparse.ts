import { layerInvalid } from '../errors.js';
import type { Segments } from '../entries.js';
import { BLOCK, paddingOf } from './header.js';

/** More pieces than this in one file are refused: they would fill the memory. */
const MAX_SEGMENTS = 200_000;

/** The map of GNU's PAX sparse format 1.0: decimal numbers, a line each, padded to a block. */
export function encodeSparseMap(segments: Segments, size: number): Buffer {
  const last = segments.at(-1);
  // A hole at the end is closed by an empty piece, as GNU tar writes it: some readers take the last piece's end for the file's.
  const all: Segments = last && last[0] + last[1] === size ? segments : [...segments, [size, 0]];
  const text = [all.length, ...all.flat()].map((number) => `${number}\n`).join('');
  return Buffer.concat([Buffer.from(text, 'latin1'), Buffer.alloc(paddingOf(text.length))]);
}

function decimal(text: string, what: string): number {
  const value = /^[0-9]{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(value)) throw layerInvalid(`${what} is no proper number`);
  return value;
}

/** A map that makes sense: in order, without overlaps, within SIZE; pieces of no length left out. @throws `LAYER_INVALID` */
export function checkedSegments(numbers: readonly number[], size: number, name: string): [number, number][] {
  const segments: [number, number][] = [];
  let end = 0;
  for (let i = 0; i + 1 < numbers.length; i += 2) {
    const [at = 0, length = 0] = [numbers[i], numbers[i + 1]];
    if (at < end || length < 0 || at + length > size) throw layerInvalid(`the map of the sparse file ${name} is wrong`);
    end = at + length;
    if (length > 0) segments.push([at, length]);
  }
  return segments;
}

/** Numbers of a map given in PAX records: GNU's formats 0.0 (a record each) and 0.1 (one with commas). */
export function paxSparseNumbers(
  records: ReadonlyMap<string, string>,
  pieces: readonly string[],
  name: string,
): number[] {
  const what = `the map of the sparse file ${name}`;
  const texts = pieces.length > 0 ? pieces : (records.get('GNU.sparse.map') ?? '').split(',').filter(Boolean);
  if (texts.length % 2 !== 0 || texts.length / 2 > MAX_SEGMENTS) throw layerInvalid(`${what} is wrong`);
  return texts.map((text) => decimal(text, what));
}

/** Reads the map that stands before the pieces (format 1.0), block by block. */
export class SparseMapReader {
  readonly #name: string;
  #text = '';
  #expected = -1;
  readonly #numbers: number[] = [];
  #length = 0;

  constructor(name: string) {
    this.#name = name;
  }

  /** Bytes of the blocks read. */
  get length(): number {
    return this.#length;
  }

  /** Takes a block; the numbers, once they are complete. @throws StrakeError `LAYER_INVALID` */
  block(bytes: Buffer): readonly number[] | undefined {
    this.#length += BLOCK;
    const lines = (this.#text + bytes.toString('latin1')).split('\n');
    this.#text = lines.pop() ?? '';
    for (const line of lines) {
      const value = decimal(line, `the map of the sparse file ${this.#name}`);
      if (this.#expected < 0) {
        if (value > MAX_SEGMENTS)
          throw layerInvalid(`the sparse file ${this.#name} has more than ${MAX_SEGMENTS} pieces`);
        this.#expected = value * 2;
      } else this.#numbers.push(value);
      if (this.#numbers.length === this.#expected) return this.#numbers;
    }
    if (this.#text.length > BLOCK) throw layerInvalid(`the map of the sparse file ${this.#name} is wrong`);
    return undefined;
  }
}
