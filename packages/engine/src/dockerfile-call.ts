import { checkWhole, StageLowering, type LowerOptions } from '@strake/builder';
import { hostPlatform, isStrakeError } from '@strake/core';
import { checkDockerfile, checkUnparsed, lintError, listTargets, outline, type Dockerfile } from '@strake/parser';
import path from 'node:path';

import { lowerOptionsOf, platformsOf } from './build-call.js';
import { checkResult, outlineResult, targetsResult } from './call-result.js';
import { openBuild } from './open-build.js';
import type { Resources } from './resources.js';
import { Cleanups } from './cleanups.js';
import type { BuildOptions, CallResult } from './types.js';

/** `--call`: what can be said of a Dockerfile without building it. @throws StrakeError */
export async function callDockerfile(
  method: 'check' | 'outline' | 'targets',
  options: BuildOptions,
  resources: Resources,
  env: NodeJS.ProcessEnv,
): Promise<CallResult> {
  const cleanups = new Cleanups();
  const filename = path.basename(options.file ?? 'Dockerfile');
  let parsed: Dockerfile | undefined;
  try {
    const opened = await openBuild(options, resources, env, cleanups);
    const { services, context, dockerfile, buildArgs } = opened;
    parsed = dockerfile;
    if (method === 'targets') return targetsResult(listTargets(dockerfile), dockerfile.source);
    const [platform = hostPlatform()] = platformsOf(options);
    const lower: LowerOptions = { ...lowerOptionsOf(options), dockerfile, platform };
    const lowering = new StageLowering(lower, services, opened.resolver(), '');
    const ignorePatterns = await context.ignorePatterns();
    if (method === 'outline') {
      const { target } = options;
      const { warnings } = checkDockerfile(dockerfile, {
        ...{ buildArgs, target, platform, buildPlatform: lower.hostPlatform },
        ...{ ignorePatterns, onlyStages: lowering.needed() },
      });
      const violation = lintError(dockerfile, warnings, { buildArgs });
      if (violation) throw violation;
      return outlineResult(outline(dockerfile, { buildArgs, target, platform }), dockerfile.source);
    }
    const report = await checkWhole(lowering, lower, ignorePatterns);
    const violation = lintError(dockerfile, report.warnings, { buildArgs });
    return checkResult({ ...report, error: report.error ?? violation }, dockerfile.source, filename);
  } catch (error) {
    // What has a place in the Dockerfile is a finding like others, and so is a target that is not in it.
    if (method !== 'check' || !isStrakeError(error)) throw error;
    const source = error.location?.source ?? (error.code === 'STAGE_NOT_FOUND' ? parsed?.source : undefined);
    if (source === undefined) throw error;
    const buildArgs = new Map(Object.entries(options.buildArgs ?? {}));
    if (!parsed) return checkResult(checkUnparsed(error, buildArgs.get('BUILDKIT_DOCKERFILE_CHECK')), source, filename);
    const { warnings } = checkDockerfile(parsed, { buildArgs, target: options.target });
    return checkResult({ warnings, error }, source, filename);
  } finally {
    await cleanups.run();
  }
}
