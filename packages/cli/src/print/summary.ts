import { isIndexType } from '@strake/core';
import type { BuildResult, OutputSpec } from '@strake/engine';
import type { Warning } from '../progress/state.js';
import { harmless } from '../progress/text.js';
import { familiar } from './names.js';
import { seconds } from './seconds.js';

/** The image's id, as buildx gives it to -q and --iidfile: the digest of the config; of an index its own. */
export function imageId({ configDigest, image }: BuildResult): string | undefined {
  return image && isIndexType(image.mediaType) ? image.digest : (configDigest ?? image?.digest);
}

/** `2 warnings found:` and a line each. Empty where there is none. */
export function warningLines(warnings: readonly Warning[]): string {
  if (warnings.length === 0) return '';
  const lines = warnings.map(({ rule, message, line }) => {
    const where = line === undefined ? '' : ` (line ${line})`;
    return ` - ${rule === undefined ? '' : `${rule}: `}${harmless(message)}${where}\n`;
  });
  return `\n ${warnings.length} warning${warnings.length === 1 ? '' : 's'} found:\n${lines.join('')}`;
}

/** The last line of a build: `built app:latest sha256:0c1f... in 0.21 s, 7 of 7 steps cached`. */
export function summary(result: BuildResult, outputs: readonly OutputSpec[]): string {
  const names = result.names.map(familiar);
  const files = outputs.map((output) => output.attributes['dest']).filter((dest) => dest !== undefined && dest !== '-');
  const what = [...names, ...files].join(', ');
  const digest = result.image?.digest ?? '';
  const cached = result.steps.filter((step) => step.cached).length;
  const counts = result.steps.length === 0 ? '' : `, ${cached} of ${result.steps.length} steps cached`;
  return ['built', what, digest, `in ${seconds(result.duration)}${counts}`].filter((word) => word !== '').join(' ');
}
