import { digestOf } from '@strake/core';

// The names that lint's rule SecretsUsedInArgOrEnv speaks of.
const SECRET = /(?:_|^)(?:apikey|auth|credential|credentials|key|password|pword|passwd|secret|token)(?:_|$)/i;
const NO_SECRET = /(?:_|^)(?:public|file|version)(?:_|$)/i;
/** Stands before what is kept of a hidden value: enough to see that it changed. */
const HIDDEN = 'hidden:';

/** `NAME=value`, with the value replaced by the start of its digest where the name says that it is a secret. */
export function hideSecret(assignment: string): string {
  const equals = assignment.indexOf('=');
  const name = assignment.slice(0, equals);
  if (equals < 0 || !SECRET.test(name) || NO_SECRET.test(name)) return assignment;
  return `${name}=${HIDDEN}${digestOf(assignment).slice(7, 19)}`;
}

/** A value for people: quoted, a hidden one only named as such. */
export function shownValue(value: string): string {
  return value.startsWith(HIDDEN) ? '(hidden)' : JSON.stringify(value);
}
