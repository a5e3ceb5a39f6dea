import { isStrakeError } from '@strake/core';
import { checkUnparsed } from '@strake/parser';

import type { BuildOptions } from './types.js';

/** Tells, as BuildKit does, what lint finds in front of the place where a Dockerfile cannot be parsed, which is what ERROR says. */
export function warnBefore(error: unknown, { buildArgs, onEvent }: Pick<BuildOptions, 'buildArgs' | 'onEvent'>): void {
  if (!isStrakeError(error) || error.location?.source === undefined) return;
  const { warnings } = checkUnparsed(error, buildArgs?.BUILDKIT_DOCKERFILE_CHECK);
  for (const warning of warnings) onEvent?.({ type: 'warning', ...warning });
}
