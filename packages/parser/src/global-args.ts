import { formatPlatform, type Platform } from '@strake/core';
import { createExpander, mapEnvironment } from './expand.js';
import { located } from './errors.js';
import type { ArgDeclaration, ArgInstruction, Dockerfile } from './types.js';

/** What the values outside of all stages depend on. */
export interface GlobalOptions {
  readonly buildArgs?: ReadonlyMap<string, string> | undefined;
  /** The stage to build, as given on the command line. */
  readonly target?: string | undefined;
  /** What is built for; default linux/amd64. */
  readonly platform?: Platform | undefined;
  /** What is built on; default: the same. */
  readonly buildPlatform?: Platform | undefined;
}

/** A global ARG with its value. */
export interface GlobalArg {
  readonly declaration: ArgDeclaration;
  readonly instruction: ArgInstruction;
  /** Undefined where it has none. */
  readonly value: string | undefined;
  /** The global variables that its default uses. */
  readonly uses: ReadonlySet<string>;
}

/** The variables that FROM sees, and a bare ARG in a stage takes its value from. */
export interface GlobalScope {
  readonly env: ReadonlyMap<string, string>;
  readonly args: ReadonlyMap<string, GlobalArg>;
}

const DEFAULT_PLATFORM: Platform = { os: 'linux', architecture: 'amd64' };

/** The platform to build for where OPTIONS name none. */
export function targetPlatform(options: GlobalOptions): Platform {
  return options.platform ?? options.buildPlatform ?? DEFAULT_PLATFORM;
}

/**
 * The arguments that are there without being declared: `TARGET` and `BUILD` each with `PLATFORM OS OSVERSION ARCH VARIANT`, and
 * `TARGETSTAGE`. A build argument of the name replaces the value.
 */
export function predefinedArgs(dockerfile: Dockerfile, options: GlobalOptions): Map<string, string> {
  const target = targetPlatform(options);
  const build = options.buildPlatform ?? target;
  const stage = options.target || dockerfile.stages.at(-1)?.from.name || 'default';
  const out = new Map<string, string>();
  for (const [prefix, platform] of [
    ['BUILD', build],
    ['TARGET', target],
  ] as const) {
    out.set(`${prefix}PLATFORM`, formatPlatform(platform));
    out.set(`${prefix}OS`, platform.os);
    out.set(`${prefix}OSVERSION`, platform['os.version'] ?? '');
    out.set(`${prefix}ARCH`, platform.architecture);
    out.set(`${prefix}VARIANT`, platform.variant ?? '');
  }
  out.set('TARGETSTAGE', stage);
  for (const name of out.keys()) {
    const given = options.buildArgs?.get(name);
    if (given !== undefined) out.set(name, given);
  }
  return out;
}

/**
 * Evaluates the ARGs in front of the first FROM. A later one sees those before it; a build argument beats the default, which then is
 * not even read.
 * @throws StrakeError `EXPAND_*`, at the ARG
 */
export function evaluateGlobalArgs(dockerfile: Dockerfile, options: GlobalOptions = {}): GlobalScope {
  const expander = createExpander(dockerfile.escape);
  const env = predefinedArgs(dockerfile, options);
  const args = new Map<string, GlobalArg>();
  for (const instruction of dockerfile.globalArgs) {
    for (const declaration of instruction.args) {
      const { name } = declaration;
      const given = options.buildArgs?.get(name);
      let value = given;
      const uses = new Set<string>();
      const written = declaration.value;
      if (given === undefined && written !== undefined) {
        const result = located(instruction, () => expander.expandWord(written, mapEnvironment(env)));
        value = result.text;
        for (const used of result.matched) uses.add(used);
        // An ARG that extends itself uses what its earlier declaration used.
        if (uses.delete(name)) for (const used of args.get(name)?.uses ?? []) uses.add(used);
      }
      if (value !== undefined) env.set(name, value);
      args.set(name, { declaration, instruction, value, uses });
    }
  }
  return { env, args };
}
