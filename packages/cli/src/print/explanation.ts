import type { StepReason, StepReport } from '@strake/engine';
import { harmless, oneLine, seconds } from '../progress/text.js';

/** Files that are named of a step. */
const MOST_FILES = 3;

/** The reasons as texts; of many files the first, and how many more. */
function shown(reasons: readonly StepReason[]): string[] {
  const files = reasons.filter(({ kind }) => kind === 'file');
  const more = reasons.find(({ kind }) => kind === 'more-files');
  const hidden = files.length - MOST_FILES + Number(/\d+/.exec(more?.text ?? '')?.[0] ?? 0);
  const texts = reasons
    .filter((reason) => reason !== more && (reason.kind !== 'file' || files.indexOf(reason) < MOST_FILES))
    .map(({ text }) => text);
  return hidden > 0 ? [...texts, `and ${hidden} more`] : texts;
}

/** A line a step: whether it came from the cache or failed, else how long it ran; and why it ran. */
export function explanation(steps: readonly StepReport[]): string {
  return steps
    .map(({ name, cached, failed, duration, reasons }) => {
      const state = cached ? 'cached' : failed ? 'FAILED' : seconds(duration, 2);
      const texts = shown(reasons).map((text) => harmless(text.replaceAll('\n', ' ')));
      const why = texts.length === 0 ? '' : `  ← ${texts.join('; ')}`;
      return `${state.padStart(8)}  ${oneLine(name)}${why}\n`;
    })
    .join('');
}
