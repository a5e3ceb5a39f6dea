import { parsePlatform, parseReference, StrakeError, suggesting, type Platform } from '@strake/core';
import { located, parserError } from './errors.js';
import { createExpander, mapEnvironment, type Expander } from './expand.js';
import { evaluateGlobalArgs, type GlobalOptions, type GlobalScope } from './global-args.js';
import { LINT_RULES } from './lint-rules.js';
import type { Linter } from './linter.js';
import type { Dockerfile, Expansion, Stage } from './types.js';

/** A FROM with its variables replaced. */
export interface EvaluatedFrom {
  readonly stage: Stage;
  readonly image: string;
  readonly platform: Platform | undefined;
  /** The global variables that it uses. */
  readonly used: ReadonlySet<string>;
}

/** InvalidDefaultArgInFrom: every FROM must make sense without any build argument. */
export function checkDefaultBases(dockerfile: Dockerfile, options: GlobalOptions, linter: Linter): void {
  const expander = createExpander(dockerfile.escape);
  try {
    const { env } = evaluateGlobalArgs(dockerfile, withoutDeclared(dockerfile, options));
    for (const { from } of dockerfile.stages) {
      const { text } = expander.expandWord(from.image, mapEnvironment(env));
      if (isReference(text)) continue;
      const message = `Default value for ARG ${from.image} results in empty or invalid base image name`;
      linter.warn(LINT_RULES.invalidDefaultArgInFrom, from.location, message);
    }
  } catch (error) {
    // A default that cannot be expanded: where it is used the evaluation proper says so.
    if (!(error instanceof StrakeError)) throw error;
  }
}

/** OPTIONS without build arguments, but for those that replace predefined arguments. */
function withoutDeclared(dockerfile: Dockerfile, options: GlobalOptions): GlobalOptions {
  const buildArgs = new Map(options.buildArgs);
  for (const { args } of dockerfile.globalArgs) for (const { name } of args) buildArgs.delete(name);
  return { ...options, buildArgs };
}

function isReference(text: string): boolean {
  if (/^[0-9a-f]{64}$/.test(text)) return false;
  try {
    parseReference(text);
    return true;
  } catch {
    return false; // It names no image: that is the question.
  }
}

function reportUndeclared(result: Expansion, scope: GlobalScope, stage: Stage, linter: Linter): void {
  if (result.unmatched.length === 0) return;
  const known = new Set([...scope.args.keys(), ...scope.env.keys()]);
  for (const name of result.unmatched) {
    if (known.has(name)) continue;
    const message = `FROM argument '${name}' is not declared${linter.suggest(name, known)}`;
    linter.warn(LINT_RULES.undefinedArgInFrom, stage.from.location, message);
  }
}

function checkPlatformFlag(written: string, result: Expansion, scope: GlobalScope, stage: Stage, linter: Linter): void {
  const { location, name = '' } = stage.from;
  const [only, ...others] = result.matched;
  if (
    only === 'TARGETPLATFORM' &&
    others.length === 0 &&
    result.unmatched.length === 0 &&
    result.text === scope.env.get('TARGETPLATFORM')
  ) {
    const message = `Setting platform to predefined ${written} in FROM is redundant as this is the default behavior`;
    linter.warn(LINT_RULES.redundantTargetPlatform, location, message);
  }
  if (only !== undefined || result.unmatched.length > 0) return;
  const platform = tryPlatform(result.text);
  // A stage that is named for its platform means it.
  if (!platform || name.includes(platform.os) || name.includes(platform.architecture)) return;
  const message = `FROM --platform flag should not use constant value ${JSON.stringify(result.text)}`;
  linter.warn(LINT_RULES.fromPlatformFlagConstDisallowed, location, message);
}

function tryPlatform(text: string): Platform | undefined {
  try {
    return parsePlatform(text, { os: 'linux', architecture: 'amd64' });
  } catch {
    return undefined; // evaluatePlatform reports it.
  }
}

function evaluatePlatform(written: string, result: Expansion, scope: GlobalScope): Platform {
  return suggesting(result.unmatched, scope.env.keys(), () => {
    if (result.text !== '') return parsePlatform(result.text, { os: 'linux', architecture: 'amd64' });
    throw parserError(
      'PARSE_ARGUMENTS',
      `empty platform value from expression ${written}`,
      'Give the variable a value with a global ARG, or leave out --platform.',
    );
  });
}

/**
 * Replaces the variables of a stage's FROM, and reports to LINTER.
 * @throws StrakeError `EXPAND_*`, `PARSE_ARGUMENTS` (nothing is left), `PLATFORM_INVALID`, at the FROM
 */
export function evaluateFrom(stage: Stage, scope: GlobalScope, expander: Expander, linter: Linter): EvaluatedFrom {
  const { from } = stage;
  return located(from, () => {
    const env = mapEnvironment(scope.env);
    const image = expander.expandWord(from.image, env);
    reportUndeclared(image, scope, stage, linter);
    if (image.text === '') {
      throw parserError(
        'PARSE_ARGUMENTS',
        `base name (${from.image}) should not be blank`,
        'Give the variable a value with an ARG in front of the first FROM, or with --build-arg.',
      );
    }
    const used = new Set(image.matched);
    if (from.platform === undefined) return { stage, image: image.text, platform: undefined, used };
    const platform = expander.expandWord(from.platform, env);
    reportUndeclared(platform, scope, stage, linter);
    checkPlatformFlag(from.platform, platform, scope, stage, linter);
    const parsed = evaluatePlatform(from.platform, platform, scope);
    for (const name of platform.matched) used.add(name);
    return { stage, image: image.text, platform: parsed, used };
  });
}
