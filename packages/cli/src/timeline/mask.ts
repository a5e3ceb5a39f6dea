import { readFileSync, statSync } from 'node:fs';
import type { BuildOptions, SecretSource } from '@strake/engine';
import { isSecretName } from '@strake/parser';

/** What stands for a secret's value. */
export const MASK = '•••••';
/** Shorter secrets, or lines of them, are not looked for: they would be found everywhere. */
const SHORTEST = 3;
const LONGEST_FILE = 1 << 20;

/** Hides values in texts. */
export interface Masker {
  (text: string): string;
  /** Characters of the longest value: so much at a cut could be a part of one. */
  readonly longest: number;
}

function valueOf({ file, env, value }: SecretSource, environment: NodeJS.ProcessEnv): string {
  if (value !== undefined) return Buffer.from(value).toString('utf8');
  if (env !== undefined) return environment[env] ?? '';
  const size = file === undefined ? undefined : statSync(file, { throwIfNoEntry: false });
  if (file === undefined || !size?.isFile() || size.size > LONGEST_FILE) return '';
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return ''; // then no step can read it either, and the build says so
  }
}

/** A masker of these values, whole and each of their lines. */
export function maskValues(values: readonly string[]): Masker {
  const parts = new Set<string>();
  for (const value of values) {
    for (const part of [value.trim(), ...value.split('\n').map((line) => line.trim())]) {
      if (part.length < SHORTEST) continue;
      parts.add(part);
      // As a JSON text has it.
      parts.add(JSON.stringify(part).slice(1, -1));
    }
  }
  const sorted = [...parts].sort((a, b) => b.length - a.length);
  const mask = (text: string): string => sorted.reduce((masked, part) => masked.replaceAll(part, MASK), text);
  return Object.assign(mask, { longest: sorted[0]?.length ?? 0 });
}

/** A masker of a build's secrets: those of `--secret`, and build arguments whose names say that they are some. */
export function maskSecretsOf(options: BuildOptions, environment: NodeJS.ProcessEnv): Masker {
  const args = Object.entries(options.buildArgs ?? {}).filter(([name]) => isSecretName(name));
  return maskValues([
    ...(options.secrets ?? []).map((secret) => valueOf(secret, environment)),
    ...args.map(([, value]) => value),
  ]);
}
