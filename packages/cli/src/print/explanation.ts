import type { StepReport } from '@strake/engine';
import { harmless, oneLine, seconds } from '../progress/text.js';

/** A line a step: whether it came from the cache, else how long it ran and why. */
export function explanation(steps: readonly StepReport[]): string {
  return steps
    .map(({ name, cached, duration, reasons }) => {
      const state = cached ? 'cached' : seconds(duration, 2);
      const why =
        reasons.length === 0 ? '' : `  ← ${reasons.map((reason) => harmless(reason.replaceAll('\n', ' '))).join('; ')}`;
      return `${state.padStart(8)}  ${oneLine(name)}${why}\n`;
    })
    .join('');
}
