import type { SourceLocation } from '@strake/core';
import { lineTooLong } from './errors.js';
import { byteLength, trimNewline } from './text.js';

/** Bytes that one line of a Dockerfile may have, as in BuildKit. */
export const MAX_LINE_BYTES = 65535;

/** A text and the name it is reported under. */
export interface SourceFile {
  readonly file: string;
  readonly text: string;
}

/** The place of lines START to END (from 1) of SOURCE. */
export function locationOf(source: SourceFile, start: number, end: number, column = 1): SourceLocation {
  return { file: source.file, line: start, column, endLine: end, source: source.text };
}

/** Reads a text line by line; lines keep their newline. */
export class LineReader {
  readonly #source: SourceFile;
  #position: number;
  #line = 0;
  #lastLength = 0;

  constructor(source: SourceFile) {
    this.#source = source;
    this.#position = source.text.startsWith('\uFEFF') ? 1 : 0;
  }

  /** The number of the line read last, from 1. */
  get line(): number {
    return this.#line;
  }

  /** The length of the line read last, without what ends it. */
  get lastLength(): number {
    return this.#lastLength;
  }

  /**
   * The next line, or undefined at the end.
   * @throws StrakeError `PARSE_LINE_TOO_LONG`
   */
  next(): string | undefined {
    const { text } = this.#source;
    if (this.#position >= text.length) return undefined;
    const newline = text.indexOf('\n', this.#position);
    const end = newline < 0 ? text.length : newline + 1;
    const line = text.slice(this.#position, end);
    this.#position = end;
    this.#line++;
    const length = newline < 0 ? line.length : line.length - 1;
    // A character has at most three bytes a UTF-16 unit: short lines need no counting.
    if (length * 3 > MAX_LINE_BYTES && byteLength(line) - (newline < 0 ? 0 : 1) > MAX_LINE_BYTES) {
      throw lineTooLong(MAX_LINE_BYTES, locationOf(this.#source, this.#line, this.#line));
    }
    this.#lastLength = trimNewline(line).length;
    return line;
  }
}
