import type { SourceLocation } from '@strake/core';
import { evaluateDockerfile, type EvaluationOptions } from './evaluation.js';
import { Linter } from './linter.js';
import type { Dockerfile } from './types.js';

/** A place as BuildKit's subrequests give it in JSON: one range a line. */
export interface JsonLocation {
  readonly ranges: readonly { readonly start: { readonly line: number }; readonly end: { readonly line: number } }[];
}

/** The parameters of a target: BuildKit's `frontend.outline` in JSON, but for `sources`, the Dockerfile in base64. */
export interface Outline {
  readonly name?: string | undefined;
  readonly description?: string | undefined;
  readonly args?: readonly OutlineArg[] | undefined;
  readonly secrets?: readonly OutlineMount[] | undefined;
  readonly ssh?: readonly OutlineMount[] | undefined;
}
export interface OutlineArg {
  readonly name: string;
  readonly description?: string | undefined;
  readonly value?: string | undefined;
  readonly location: JsonLocation;
}
export interface OutlineMount {
  readonly name: string;
  readonly required?: true | undefined;
  readonly location: JsonLocation;
}

/** The stages of a Dockerfile: BuildKit's `frontend.targets` in JSON, but for `sources`. */
export interface TargetList {
  readonly targets: readonly {
    readonly name?: string | undefined;
    readonly default?: true | undefined;
    readonly description?: string | undefined;
    readonly base?: string | undefined;
    readonly platform?: string | undefined;
    readonly location: JsonLocation;
  }[];
}

/** LOCATION as BuildKit writes it in JSON. */
export function jsonLocation({ line, endLine = line }: SourceLocation): JsonLocation {
  const ranges = Array.from({ length: endLine - line + 1 }, (_, i) => ({
    start: { line: line + i },
    end: { line: line + i },
  }));
  return { ranges };
}

function byLine<T extends { readonly location: JsonLocation }>(items: readonly T[]): T[] | undefined {
  const line = ({ location }: T): number => location.ranges[0]?.start.line ?? 0;
  return items.length === 0 ? undefined : [...items].sort((a, b) => line(a) - line(b));
}

/**
 * What a build of the target can be given: `--call=outline`. ARGs that it uses, with their values, secrets, SSH agents.
 * @throws StrakeError what a build would fail with before anything runs
 */
export function outline(dockerfile: Dockerfile, options: EvaluationOptions = {}): Outline {
  const silent = new Linter(undefined, []);
  const { graph, states } = evaluateDockerfile(dockerfile, { ...options, all: false, outline: true }, silent);
  const target = graph.lookup.target(options.target);
  const args = new Map<string, OutlineArg>();
  const secrets = new Map<string, OutlineMount>();
  const ssh = new Map<string, OutlineMount>();
  for (const index of graph.reachable(target.index)) {
    const capture = states[index]?.outline;
    if (!capture) continue;
    for (const name of capture.allUsed()) {
      const arg = capture.arg(name);
      if (!arg || args.has(name)) continue;
      const { declaration, instruction, value } = arg;
      const location = jsonLocation(instruction.location);
      args.set(name, { name, description: declaration.description, value: value || undefined, location });
    }
    for (const [uses, out] of [
      [capture.secrets, secrets],
      [capture.ssh, ssh],
    ] as const) {
      for (const [name, { required, instruction }] of uses) {
        if (out.has(name)) continue;
        out.set(name, { name, required: required || undefined, location: jsonLocation(instruction.location) });
      }
    }
  }
  return {
    name: target.from.name,
    description: target.description,
    args: byLine([...args.values()]),
    secrets: byLine([...secrets.values()]),
    ssh: byLine([...ssh.values()]),
  };
}

/** The targets of a Dockerfile: `--call=targets`. */
export function listTargets(dockerfile: Dockerfile): TargetList {
  return {
    targets: dockerfile.stages.map(({ index, from, description }) => ({
      name: from.name,
      default: index === dockerfile.stages.length - 1 || undefined,
      description,
      base: from.image,
      platform: from.platform,
      location: jsonLocation(from.location),
    })),
  };
}
