import { checkDockerfile, lintError, type CheckReport } from '@strake/parser';

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

/** The failure of a Dockerfile that asks for `error=true`, where there are warnings. */
export function warningsAsError(options: LowerOptions, { warnings }: CheckReport): Error | undefined {
  return lintError(options.dockerfile, warnings, { buildArgs: options.buildArgs });
}
