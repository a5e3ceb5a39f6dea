import { goQuote } from '@strake/core';
import { parserError } from './errors.js';
import { clip } from './text.js';

/** The new mode (12 bits) of a file that has MODE. */
export type ModeChange = (mode: number, isDirectory: boolean) => number;

const USER = 0o700;
const GROUP = 0o070;
const OTHER = 0o007;
const SETUID = 0o4000;
const SETGID = 0o2000;
const STICKY = 0o1000;
const STANDARD = SETUID | SETGID | USER | GROUP | OTHER;
const EXECUTE = 0o111;

/** One step of a symbolic mode. ORIGINAL is the mode before all steps. */
type Step = (mode: number, original: number, isDirectory: boolean) => number;

function bad(text: string, why: string): Error {
  return parserError(
    'MODE_INVALID',
    `invalid chmod parameter: '${clip(text, 40)}'. ${why}`,
    'Write it in octal, such as 0755, or as chmod(1) takes it, such as u+x,go-w.',
  );
}

/** `u=g` and its like: the bits of the class CHAR for those of WHO. */
function copyStep(char: string, who: number, operator: string): Step {
  const from = char === 'u' ? 6 : char === 'g' ? 3 : 0;
  const targets = [
    { bit: 0o400, shift: 6 },
    { bit: 0o040, shift: 3 },
    { bit: 0o004, shift: 0 },
  ].filter(({ bit }) => who === 0 || (who & bit) !== 0);
  return (mode) => {
    const value = (mode >> from) & 7;
    let out = mode;
    for (const { shift } of targets) {
      if (operator === '=') out &= ~(7 << shift);
      if (operator === '-') out &= ~(value << shift);
      else out |= value << shift;
    }
    return out;
  };
}

/** What `+`, `-`, `=` or `X` does to BITS. A WHO of 0 is everybody. */
function bitStep(operator: string, who: number, bits: number): Step {
  const chosen = who === 0 ? bits : who & bits;
  switch (operator) {
    case '+':
      return (mode) => mode | chosen;
    case '-':
      return (mode) => mode & ~chosen;
    case '=':
      return (mode) => (mode & ~(who === 0 ? STANDARD : who)) | chosen;
    default:
      return (mode, original, isDirectory) => (isDirectory || (original & EXECUTE) !== 0 ? mode | chosen : mode);
  }
}

function parseWho(text: string): number {
  let who = 0;
  for (const char of text) {
    if (char === 'a') who |= STANDARD;
    else if (char === 'u') who |= SETUID | USER;
    else if (char === 'g') who |= SETGID | GROUP;
    else who |= OTHER;
  }
  return who;
}

/** The steps of one operator and the letters behind it. */
function actionSteps(operator: string, letters: string, clauseWho: number): Step[] {
  const steps: Step[] = [];
  let who = clauseWho;
  let bits = 0;
  let conditional = 0;
  let assigned = false;
  // Of "others" alone neither set-id nor sticky bits are meant.
  const special = who === 0 || (who & ~OTHER) !== 0;
  const flush = (last: boolean): void => {
    if (bits !== 0 || (last && operator === '=' && !assigned)) steps.push(bitStep(operator, who, bits));
    if (conditional !== 0) steps.push(bitStep('X', who, conditional));
    bits = 0;
    conditional = 0;
  };
  for (const letter of letters) {
    if (letter === 'r') bits |= 0o444;
    else if (letter === 'w') bits |= 0o222;
    else if (letter === 'x') bits |= EXECUTE;
    else if (letter === 'X') {
      if (operator === '-') bits |= EXECUTE;
      else conditional |= EXECUTE;
    } else if (letter === 's') {
      if (special) bits |= SETUID | SETGID;
    } else if (letter === 't') {
      if (special) {
        // As in BuildKit's library this makes sticky the only class where none is named: `+rt` sets no r.
        who |= STICKY;
        bits |= STICKY;
      }
    } else {
      flush(false);
      steps.push(copyStep(letter, who, operator));
      assigned = true;
    }
  }
  flush(true);
  return steps;
}

/**
 * Reads the value of `--chmod`: an octal mode up to 07777 gives a number, a symbolic one of chmod(1) a function; the umask is 0.
 * @throws StrakeError `MODE_INVALID`
 */
export function parseMode(text: string): number | ModeChange {
  if (/^[0-7]{1,40}$/.test(text)) {
    const mode = parseInt(text, 8);
    if (mode > 0o7777) throw bad(text, 'it should be octal string and between 0 and 07777');
    return mode;
  }
  if (/^[0-9]/.test(text)) throw bad(text, 'it should be octal string and between 0 and 07777');
  const steps: Step[] = [];
  for (const clause of text.split(',')) {
    const match = /^([ugoa]*)((?:[-+=][rwxXstugo]*)+)$/.exec(clause);
    if (!match) throw bad(text, `invalid syntax: ${goQuote(clip(clause, 40))} is no change of a mode`);
    const who = parseWho(match[1] ?? '');
    for (const action of (match[2] ?? '').matchAll(/([-+=])([^-+=]*)/g)) {
      steps.push(...actionSteps(action[1] ?? '', action[2] ?? '', who));
    }
  }
  return (mode, isDirectory) =>
    steps.reduce((current, step) => step(current, mode & 0o7777, isDirectory), mode & 0o7777) & 0o7777;
}
