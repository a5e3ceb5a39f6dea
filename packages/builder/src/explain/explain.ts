import type { Digest } from '@strake/core';
import type { Journal } from '@strake/store';

import { explainStep, matchSteps } from './compare.js';
import type { BuildNote, SelectedFact, StepNote } from './types.js';

const selectionName = (digest: Digest): string => `selection ${digest}`;

/** Keeps what a step took, under the digest that stands in its key. */
export async function noteSelection(journal: Journal, digest: Digest, facts: readonly SelectedFact[]): Promise<void> {
  await journal.write(selectionName(digest), facts);
}

/** A remembered build. */
export async function readBuild(journal: Journal, name: string): Promise<BuildNote | undefined> {
  const note = (await journal.read(name)) as Partial<BuildNote> | undefined;
  return note?.version === 1 && Array.isArray(note.steps) ? (note as BuildNote) : undefined;
}

/**
 * Says of each step why it ran, compared with the build noted under NAME, and notes this one in its place, and under the further
 * NAMES.
 */
export async function explainBuild(
  journal: Journal,
  name: string,
  steps: readonly StepNote[],
  time: number,
  names: readonly string[],
): Promise<BuildNote> {
  // A cached build is compared with nothing.
  const before = steps.every((step) => step.cached) ? undefined : await readBuild(journal, name);
  const matched = matchSteps(before?.steps ?? [], steps);
  const filesOf = async (digest: Digest): Promise<readonly SelectedFact[] | undefined> => {
    const facts = await journal.read(selectionName(digest));
    return Array.isArray(facts) ? (facts as SelectedFact[]) : undefined;
  };
  const note: BuildNote = {
    version: 1,
    time,
    steps: await Promise.all(
      steps.map(async (step) => ({
        ...step,
        reasons: await explainStep(matched.get(step), step, filesOf, before !== undefined),
      })),
    ),
  };
  for (const one of [name, ...names]) await journal.write(one, note);
  return note;
}
