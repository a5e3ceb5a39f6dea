import type { StepNote } from './types.js';

/** A step's instruction as written; of a FROM its name without its number among the steps. */
export function instructionText({ instruction, name }: StepNote): string {
  return instruction?.text ?? displayedText(name);
}

/** A step's name without its number among the steps, variables replaced. */
export function displayedText(name: string): string {
  return name.replace(/^\[(?:[^\]]* )?\s*\d+\/\d+\] /, '');
}

const kindOf = ({ operation }: StepNote): unknown => operation['kind'];

/**
 * For each step of AFTER the step of BEFORE that stood in its place: the same step, else the same instruction, else the next of
 * its kind; in its stage, else in any.
 */
export function matchSteps(before: readonly StepNote[], after: readonly StepNote[]): Map<StepNote, StepNote> {
  const matched = new Map<StepNote, StepNote>();
  const free = new Set(before);
  /** Lists by what must be equal, so that a thousand steps are no million comparisons. */
  const match = (equal: (step: StepNote) => string): void => {
    const waiting = new Map<string, StepNote[]>();
    for (const old of free) {
      const name = equal(old);
      const list = waiting.get(name);
      if (list) list.push(old);
      else waiting.set(name, [old]);
    }
    for (const step of after) {
      if (matched.has(step)) continue;
      const old = waiting.get(equal(step))?.shift();
      if (!old) continue;
      matched.set(step, old);
      free.delete(old);
    }
  };
  match((step) => `${step.stage}\n${step.key}`);
  match((step) => `${step.stage}\n${instructionText(step)}`);
  match((step) => `${step.stage}\n${String(kindOf(step))}`);
  match((step) => instructionText(step));
  return matched;
}

/** How many instructions two builds share, without FROM: whether one can be the other's predecessor. */
export function likeness(before: readonly StepNote[], after: readonly StepNote[]): number {
  const texts = new Set(before.filter(({ instruction }) => instruction).map(instructionText));
  return after.filter((step) => step.instruction && texts.has(instructionText(step))).length;
}
