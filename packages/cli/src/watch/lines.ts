import type { WatchEvent } from '@strake/engine';
import { describeError } from '../print/error.js';
import { familiar } from '../print/names.js';
import { harmless, harmlessLines, oneLine } from '../progress/text.js';

/** Paths named in a line; more are counted. */
const NAMED = 2;
/** A step's name in a line: its instruction, not all of a long command. */
const STEP_NAME = 60;

/** `src/a.ts`, `src/a.ts and src/b.ts`, `src/a.ts and 4,999 more`. */
export function causeText(paths: readonly string[]): string {
  const shown = paths.slice(0, paths.length > NAMED ? 1 : NAMED).map(harmless);
  const more = paths.length - shown.length;
  return more > 0 ? `${shown.join(', ')} and ${more.toLocaleString('en')} more` : shown.join(' and ');
}

function took(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(2)} s`;
}

/** `step 7 of 9 (COPY src /src)`. */
function stepText({ number, of, name }: { number: number; of: number; name: string }): string {
  const instruction = oneLine(name).replace(/^\[[^\]]*\] /, '');
  const text = instruction.length > STEP_NAME ? `${instruction.slice(0, STEP_NAME - 1)}…` : instruction;
  return `step ${number} of ${of} (${text})`;
}

/** The line of a finished build: what was saved, where the build began, how long it took, what was done with the result. */
export function builtLine(event: Extract<WatchEvent, { type: 'built' }>): string {
  const { paths, first, ran, duration, result, actions } = event;
  const steps = ran === 1 ? '1 step' : `${ran} steps`;
  const done = actions.length > 0 ? actions.map((action) => ` → ${harmless(action)}`).join('') : '';
  if (paths.length === 0) {
    const names = result.names.map(familiar).join(', ');
    const cached = ran === 0 ? 'all steps cached' : `${steps} ran`;
    return `built ${names === '' ? (result.image?.digest ?? 'it') : names} in ${took(duration)}, ${cached}${done}`;
  }
  if (ran === 0)
    return `${causeText(paths)} → ${event.unchanged ? 'nothing changed' : 'all steps cached'} (${took(duration)})${done}`;
  const where = first ? ` → ${stepText(first)}` : '';
  return `${causeText(paths)}${where} → rebuilt ${steps} in ${took(duration)}${done}`;
}

/** What a failed build prints: the line, and the error as `strake build` shows it. */
export function failedLines(event: Extract<WatchEvent, { type: 'failed' }>, debug: boolean): string {
  const cause = event.paths.length === 0 ? '' : `${causeText(event.paths)} → `;
  const error = describeError(event.error, { debug }).replace(/\n$/, '');
  return `${cause}failed after ${took(event.duration)}\n${error}`;
}

/** What is said of an event, without time and state; undefined where nothing is. */
export function eventText(event: WatchEvent, debug: boolean): string | undefined {
  switch (event.type) {
    case 'built':
      return builtLine(event);
    case 'failed':
      return failedLines(event, debug);
    case 'polling':
      return `warning: ${event.message}\nhint: ${event.hint}`;
    case 'container':
      if (event.state === 'exited') return `the container has ended with exit status ${event.exitCode ?? 1}`;
      return event.state === 'failed' ? describeError(event.error, { debug }).replace(/\n$/, '') : undefined;
    case 'exec':
      return event.exitCode === 0 ? undefined : `--exec ended with exit status ${event.exitCode}`;
    case 'warning':
      return `warning: ${harmlessLines(event.message)}`;
    default:
      return undefined;
  }
}
