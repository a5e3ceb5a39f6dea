import { digestOf } from '@strake/core';
import { isSecretName } from '@strake/parser';

/** Stands before what is kept of a hidden value: enough to see that it changed. */
const HIDDEN = 'hidden:';
/** What stands for a secret's value in other texts. */
const MASK = '(hidden)';
/** Shorter values of secrets are not looked for in other texts: they would be found everywhere. */
const SHORTEST = 3;

/** The value as it may be noted: of a variable whose name says that it is a secret, the start of a digest. */
export function notedValue(name: string, value: string): string {
  return isSecretName(name) ? `${HIDDEN}${digestOf(`${name}=${value}`).slice(7, 19)}` : value;
}

/** Whether a noted value hides a secret's. */
export function isHidden(value: string): boolean {
  return value.startsWith(HIDDEN);
}

/** A noted value for people. */
export function shownValue(value: string): string {
  return isHidden(value) ? MASK : JSON.stringify(value);
}

/** Replaces the values of the SECRETS in all texts of VALUE, and in `NAME=value` those of names that speak of secrets. */
export function maskSecrets(value: unknown, secrets: readonly string[]): unknown {
  const long = secrets.filter((secret) => secret.length >= SHORTEST).sort((a, b) => b.length - a.length);
  const mask = (one: unknown): unknown => {
    if (typeof one === 'string') return maskText(one, long);
    if (Array.isArray(one)) return one.map(mask);
    if (typeof one !== 'object' || one === null) return one;
    return Object.fromEntries(Object.entries(one).map(([name, inner]) => [name, mask(inner)]));
  };
  return mask(value);
}

function maskText(text: string, secrets: readonly string[]): string {
  let masked = text;
  for (const secret of secrets) masked = masked.replaceAll(secret, MASK);
  if (!masked.includes('=')) return masked;
  return masked.replace(/\b([A-Za-z_][A-Za-z0-9_]*)=("[^"]*"|'[^']*'|[^\s"']+)/g, (all, name: string) =>
    isSecretName(name) ? `${name}=${MASK}` : all,
  );
}
