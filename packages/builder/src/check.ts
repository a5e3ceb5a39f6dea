import { isStrakeError } from '@strake/core';
import { checkDockerfile, lintError, type CheckReport, type LintWarning } from '@strake/parser';

import type { LowerOptions } from './lower/context.js';
import type { StageLowering } from './lower/stages.js';

/**
 * Lints a Dockerfile with what is known of its base images. ALL: every stage, as `--check` without a target does; else those that
 * the target needs, as a build does.
 */
export async function checkStages(
  lowering: StageLowering,
  options: LowerOptions,
  ignorePatterns: readonly string[],
  all: boolean,
): Promise<CheckReport> {
  const { dockerfile, buildArgs, target, platform, hostPlatform } = options;
  const stages = all ? new Set(dockerfile.stages.keys()) : lowering.needed();
  return checkDockerfile(dockerfile, {
    buildArgs,
    target,
    platform,
    buildPlatform: hostPlatform,
    bases: await lowering.bases(stages),
    ignorePatterns,
    onlyStages: stages,
  });
}

/** As {@link checkStages}, with what else a build of the Dockerfile would be refused for. */
export async function checkWhole(
  lowering: StageLowering,
  options: LowerOptions,
  ignorePatterns: readonly string[],
): Promise<CheckReport> {
  const all = options.target === undefined;
  const report = await checkStages(lowering, options, ignorePatterns, all);
  if (report.error) return report;
  return { ...report, error: await lowering.refusal(all ? options.dockerfile.stages.keys() : lowering.needed()) };
}

/** What lint finds where a base image, or a name of one, ends the build before its stages are looked at. */
export function warningsWithoutBases({ dockerfile, buildArgs, target }: LowerOptions): readonly LintWarning[] {
  try {
    return checkDockerfile(dockerfile, { buildArgs, target, onlyStages: new Set() }).warnings;
  } catch (error) {
    if (isStrakeError(error)) return []; // The build has failed already.
    throw error;
  }
}

/** The failure of a Dockerfile that asks for `error=true`, where there are warnings. */
export function warningsAsError(options: LowerOptions, { warnings }: CheckReport): Error | undefined {
  return lintError(options.dockerfile, warnings, { buildArgs: options.buildArgs });
}
