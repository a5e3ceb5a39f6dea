import { writeLine, type Output } from '../io.js';

/** What JSON leaves as it is and a terminal acts on, or nobody sees: C1's controls, and what turns the direction of writing. */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

function escaped(character: string): string {
  if (character < ' ') return character; // between JSON's tokens; within strings JSON.stringify has escaped them
  let out = '';
  for (let i = 0; i < character.length; i++) out += `\\u${character.charCodeAt(i).toString(16).padStart(4, '0')}`;
  return out;
}

/** VALUE as JSON, indented by INDENT blanks, with every character escaped that could do a terminal harm. */
export function jsonText(value: unknown, indent?: number): string {
  return JSON.stringify(value, undefined, indent).replace(UNSEEN, escaped);
}

/** Prints a value as indented JSON. */
export function writeJson(output: Output, value: unknown): void {
  writeLine(output, jsonText(value, 2));
}
