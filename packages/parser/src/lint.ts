import { StrakeError } from '@strake/core';
import { parseCheck } from './check-directive.js';
import { parserError } from './errors.js';
import { evaluateDockerfile, type EvaluationOptions } from './evaluation.js';
import { Linter } from './linter.js';
import { parseDockerfile } from './parse.js';
import { warningsByLine, checkText, checkWords } from './text-rules.js';
import type { CheckDirective, Dockerfile, LintWarning } from './types.js';

/** What a check of a Dockerfile found. */
export interface CheckReport {
  /** In the order in which BuildKit finds them: what the text says first, then stage by stage. */
  readonly warnings: readonly LintWarning[];
  /** Why the Dockerfile cannot be built whatever runs; the warnings are those found until then. */
  readonly error: StrakeError | undefined;
}

function configOf(dockerfile: Dockerfile, options: EvaluationOptions): CheckDirective | undefined {
  const override = options.buildArgs?.get('BUILDKIT_DOCKERFILE_CHECK');
  return override === undefined ? dockerfile.check : parseCheck(override);
}

/**
 * Checks a Dockerfile with the rules of BuildKit, as `--call=check` does. `# check=` directives, at the top and above instructions, and
 * the build argument BUILDKIT_DOCKERFILE_CHECK, which replaces the former, are heeded.
 * @throws StrakeError `CHECK_INVALID` where that build argument is malformed; nothing else is thrown
 */
export function checkDockerfile(dockerfile: Dockerfile, options: EvaluationOptions = {}): CheckReport {
  const warnings: LintWarning[] = [];
  const linter = new Linter(configOf(dockerfile, options), warnings);
  checkText(dockerfile, linter);
  let failure: StrakeError | undefined;
  try {
    evaluateDockerfile(dockerfile, { ...options, all: !options.target, outline: false }, linter);
  } catch (error) {
    if (!(error instanceof StrakeError)) throw error;
    failure = error;
  }
  return { warnings, error: failure };
}

/**
 * What a check says of a Dockerfile that cannot be parsed, and why (ERROR, with its place): the warnings of what stands in front of that
 * place, by the rules that BuildKit applies while it parses. CHECK: the build argument BUILDKIT_DOCKERFILE_CHECK.
 */
export function checkUnparsed(error: StrakeError, check?: string): CheckReport {
  const { source = '', file, line = 1 } = error.location ?? {};
  const warnings: LintWarning[] = [];
  try {
    const before = source.split('\n').slice(0, line - 1);
    const dockerfile = parseDockerfile(before.join('\n'), { file, check });
    checkWords(dockerfile, new Linter(dockerfile.check, warnings));
  } catch {
    // What is in front of the place makes no Dockerfile of its own.
  }
  return { warnings, error };
}

/** The warnings of `checkDockerfile`, in the order of the lines. @throws StrakeError `CHECK_INVALID` */
export function lint(dockerfile: Dockerfile, options: EvaluationOptions = {}): readonly LintWarning[] {
  return warningsByLine(checkDockerfile(dockerfile, options).warnings);
}

/**
 * The error that a build ends with where there are WARNINGS and `error=true` is asked for; else undefined.
 * @throws StrakeError `CHECK_INVALID`
 */
export function lintError(
  dockerfile: Dockerfile,
  warnings: readonly LintWarning[],
  options: Pick<EvaluationOptions, 'buildArgs'> = {},
): StrakeError | undefined {
  if (warnings.length === 0 || !configOf(dockerfile, options)?.error) return undefined;
  const rules = [...new Set(warnings.map(({ rule }) => rule))];
  return parserError(
    'LINT_VIOLATION',
    `lint violation found for rules: ${rules.join(', ')}`,
    'The Dockerfile asks for this with # check=error=true; skip=<rule> leaves a rule out.',
    warnings[0]?.location,
  );
}
