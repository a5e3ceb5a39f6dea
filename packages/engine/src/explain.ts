import { canonicalJson, canonicalName, parseReference, StrakeError } from '@strake/core';
import {
  explainBuild,
  explainFailure,
  readBuild,
  type BuildNames,
  type BuildNote,
  type StepNote,
} from '@strake/builder';
import type { Journal } from '@strake/store';

import type { Resources } from './resources.js';
import type { BuildExplanation, BuildOptions, StepReport } from './types.js';

const LAST = 'last build';

/** Says why the steps of a finished build ran, and notes the build for the next one and for `strake explain`. */
export function noteBuild(
  journal: Journal,
  options: BuildOptions,
  steps: readonly StepNote[],
  images: readonly string[],
): Promise<BuildNote> {
  return explainBuild(journal, buildNames(options, images), steps, Date.now());
}

/** The same for a build that failed: only `strake explain last` tells of it. */
export async function noteFailure(journal: Journal, options: BuildOptions, steps: readonly StepNote[]): Promise<void> {
  const note = await explainFailure(journal, buildNames(options, []), steps, Date.now());
  options.onFailure?.(note.steps.map(reportStep));
}

/** Under which names a build is noted. */
export function buildNames(options: BuildOptions, images: readonly string[]): BuildNames {
  const { context, file, target, platforms } = options;
  const build = { ...sourceOf(options), target: target ?? '', platforms: platforms ?? [] };
  return {
    build: `build ${canonicalJson(build)}`,
    sure: typeof context === 'string' && context !== '-' && file !== '-',
    images: images.map((name) => `image ${name}`),
    last: LAST,
  };
}

/** The notes that a build which went well leaves. */
export function noteNames(options: BuildOptions, images: readonly string[]): readonly string[] {
  const { build, images: named, last } = buildNames(options, images);
  return [build, ...named, last];
}

/** What a build is told of its steps. */
export function reportStep(step: BuildNote['steps'][number]): StepReport {
  const { id, name, cached, duration, key, reasons, failed } = step;
  return { id, name, cached, duration, key, reasons, ...(failed && { failed }) };
}

/** What a build is known by. Files in memory have no name of their own: builds of them are told apart by their tags. */
function sourceOf({ context, file, dockerfile, tags }: BuildOptions): Readonly<Record<string, unknown>> {
  if (typeof context === 'string') return { context, file: dockerfile === undefined ? (file ?? '') : { text: true } };
  return { context: { memory: tags ?? [] }, file: file ?? '' };
}

/** The build that made an image, or the last one. @throws StrakeError `BUILD_UNKNOWN` */
export async function explainStored(resources: Resources, name = 'last'): Promise<BuildExplanation> {
  const { journal } = await resources.store();
  const note = await readBuild(journal, name === 'last' ? LAST : `image ${canonicalName(parseReference(name))}`);
  if (!note) {
    throw new StrakeError({
      code: 'BUILD_UNKNOWN',
      message: name === 'last' ? 'no build is remembered' : `no build of "${name}" is remembered`,
      hint: 'Builds with this store are remembered, each until the next one of the same context, Dockerfile and target.',
    });
  }
  return { time: note.time, steps: note.steps.map(reportStep) };
}
