import { writeLine, type Output } from '../io.js';

/** Prints a value as indented JSON. */
export function writeJson(output: Output, value: unknown): void {
  writeLine(output, JSON.stringify(value, undefined, 2));
}
