import type { Digest } from '@strake/core';
import type { Journal } from '@strake/store';

import { SelectionNotes } from './selection-notes.js';
import type { BuildNote, SelectedFact, StepNote } from './types.js';

/** A remembered build. */
export async function readBuild(journal: Journal, name: string): Promise<BuildNote | undefined> {
  const note = (await journal.read(name)) as Partial<BuildNote> | undefined;
  return note?.version === 2 && Array.isArray(note.steps) ? (note as BuildNote) : undefined;
}

/** Whose notes a build is compared with, and under which it is noted. */
export interface BuildNames {
  /** The build by what it builds. */
  readonly build: string;
  /** Whether that names one Dockerfile: not where it comes from standard input. */
  readonly sure: boolean;
  /** Further names: of its images. */
  readonly images: readonly string[];
  readonly last: string;
}

/** The build before, and the steps of it that stand for those of this one. */
async function predecessor(
  journal: Journal,
  { build, sure, images }: BuildNames,
  steps: readonly StepNote[],
): Promise<BuildNote | undefined> {
  const { likeness } = await import('./match.js');
  let best: { note: BuildNote; score: number } | undefined;
  for (const name of [build, ...images]) {
    const note = await readBuild(journal, name);
    if (!note) continue;
    const score = likeness(note.steps, steps);
    // What only has the same name may be something else altogether.
    if (score === 0 && !(sure && name === build)) continue;
    if (!best || score > best.score) best = { note, score };
  }
  return best?.note;
}

/** Says of each step why it ran, compared with the build before it, and notes this one in its place. */
export async function explainBuild(
  journal: Journal,
  names: BuildNames,
  steps: readonly StepNote[],
  time: number,
): Promise<BuildNote> {
  // A cached build is compared with nothing.
  const explained = steps.every(({ cached, reason }) => cached || reason === 'not-cacheable')
    ? steps.map((step) => ({ ...step, reasons: [] }))
    : await explainSteps(journal, names, steps);
  const note: BuildNote = { version: 2, time, steps: explained };
  for (const name of [names.build, ...names.images, names.last]) await journal.write(name, note);
  return note;
}

/**
 * Says of each step of a build that failed why it ran. It is noted as the last build only: the next one is compared with what
 * succeeded, as that has all the steps.
 */
export async function explainFailure(
  journal: Journal,
  names: BuildNames,
  steps: readonly StepNote[],
  time: number,
): Promise<BuildNote> {
  const note: BuildNote = { version: 2, time, steps: await explainSteps(journal, names, steps) };
  await journal.write(names.last, note);
  return note;
}

/** Says of each step why it ran, or would run, compared with the build before it. Notes nothing. */
export async function explainSteps(
  journal: Journal,
  names: BuildNames,
  steps: readonly StepNote[],
  selections?: ReadonlyMap<Digest, () => readonly SelectedFact[]>,
): Promise<BuildNote['steps']> {
  const [{ explainStep }, { matchSteps }] = await Promise.all([import('./compare.js'), import('./match.js')]);
  const before = await predecessor(journal, names, steps);
  const matched = matchSteps(before?.steps ?? [], steps);
  const files = new SelectionNotes(journal, selections);
  const explained = [];
  for (const step of steps) {
    explained.push({
      ...step,
      reasons: await explainStep(matched.get(step), step, files, before !== undefined),
    });
  }
  return explained;
}
