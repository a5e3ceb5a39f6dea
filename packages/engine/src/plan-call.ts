import { planDockerfile, type PlannedStep } from '@strake/builder';
import type { ProgressEvent } from '@strake/core';

import { namesOf, requestOf } from './build-call.js';
import { Cleanups } from './cleanups.js';
import { buildNames } from './explain.js';
import { openBuild } from './open-build.js';
import type { Resources } from './resources.js';
import type { BuildOptions, EngineOptions } from './types.js';

/** A warning of lint or of the build's arguments. */
export type PlanWarning = Omit<Extract<ProgressEvent, { type: 'warning' }>, 'type'>;

/** What a build would do. */
export interface Plan {
  /** The graph: of each platform the steps that the target needs, in the order of the Dockerfile. */
  readonly steps: readonly PlannedStep[];
  readonly warnings: readonly PlanWarning[];
}

/** What a build with these options would do, and why; nothing is run. @throws StrakeError as a build, before its first step */
export async function planBuild(
  options: BuildOptions,
  resources: Resources,
  engine: EngineOptions,
  env: NodeJS.ProcessEnv,
): Promise<Plan> {
  const cleanups = new Cleanups();
  const warnings: PlanWarning[] = [];
  const onEvent = (event: ProgressEvent): void => {
    if (event.type !== 'warning') return;
    const { type: _type, location, ...warning } = event;
    warnings.push({ ...warning, location: location && { ...location, source: undefined } });
  };
  try {
    const opened = await openBuild({ ...options, onEvent }, resources, env, cleanups);
    const request = await requestOf(opened, options, engine);
    const names = buildNames(options, namesOf(options, options.outputs ?? []));
    return { steps: await planDockerfile(request, opened.services, names), warnings };
  } finally {
    await cleanups.run();
  }
}
