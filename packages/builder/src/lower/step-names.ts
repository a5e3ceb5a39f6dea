import { formatPlatform, normalizePlatform, parsePlatform, type Platform } from '@strake/core';
import type { Environment, Stage } from '@strake/parser';

export interface StepNaming {
  /** '' where the Dockerfile has one stage only. */
  readonly stage: string;
  /** Steps of the stage, its base image and the triggers of that included. */
  readonly total: number;
  /** Set where the build is for several platforms. */
  readonly platform?: Platform | undefined;
}

/** Numbers and names the steps of one stage as BuildKit does: `[linux/amd64->arm64 build  2/10] RUN make`. */
export class StepNames {
  /** Whether the instruction comes from a trigger of the base image. */
  onbuild = false;
  readonly #naming: StepNaming;
  #index = 0;

  constructor(naming: StepNaming) {
    this.#naming = naming;
  }

  /** The name of the next step; ENV: what it sees, which tells what platform it compiles for. */
  next(text: string, env?: Environment): string {
    const { stage, total, platform } = this.#naming;
    if (total === 0) return text;
    this.#index++;
    const width = Math.floor(1 + Math.log10(total));
    const place = `${String(this.#index).padStart(width)}/${total}`;
    const where = [platform && formatPlatform(platform) + compiledFor(platform, env), stage, place];
    const shown = text.replace(/^[a-z]+/i, (instruction) => instruction.toUpperCase());
    return `[${where.filter(Boolean).join(' ')}] ${this.onbuild ? 'ONBUILD ' : ''}${shown}`;
  }
}

/** What stands behind the platform of a step that sees TARGETPLATFORM or its parts: `->arm64`, where that is another one. */
function compiledFor(platform: Platform, env: Environment | undefined): string {
  const names = new Set(env?.names());
  const value = (name: string): string => (names.has(name) ? (env?.get(name) ?? '') : '');
  let target: Platform | undefined;
  if (names.has('TARGETPLATFORM')) {
    try {
      target = parsePlatform(value('TARGETPLATFORM'), platform);
    } catch {
      // As good as not there.
    }
  }
  if (!target && !['TARGETOS', 'TARGETARCH', 'TARGETVARIANT'].some((name) => names.has(name))) return '';
  target ??= normalizePlatform({
    os: value('TARGETOS') || platform.os,
    architecture: value('TARGETARCH') || platform.architecture,
    ...(value('TARGETVARIANT') ? { variant: value('TARGETVARIANT') } : {}),
  });
  if (target.os !== platform.os) return `->${formatPlatform(target)}`;
  if (target.architecture === platform.architecture) return '';
  return `->${[target.architecture, target.variant].filter(Boolean).join('/')}`;
}

/**
 * Whether STAGES are one that needs no name in front of its steps. BuildKit counts what --from and mounts name as stages, also where a
 * mount names nothing.
 */
export function isOnlyStage(stages: readonly Stage[]): boolean {
  return (
    stages.length === 1 &&
    stages.every(({ instructions }) =>
      instructions.every(
        (instruction) =>
          !(instruction.kind === 'COPY' && instruction.from !== undefined) &&
          !(instruction.kind === 'RUN' && instruction.mounts.length > 0),
      ),
    )
  );
}
