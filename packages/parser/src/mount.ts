import { closest } from '@strake/core';
import { parseCsvLine } from './csv.js';
import { didYouMean, mountError } from './errors.js';
import { baseName, clip, cleanPath, cut, parseBool } from './text.js';
import type { RunMount } from './types.js';

const TYPES = ['bind', 'cache', 'tmpfs', 'secret', 'ssh'] as const;
const SHARING = ['shared', 'private', 'locked'] as const;
const KEYS =
  'type from source target readonly id sharing required size mode uid gid src dst destination ro rw readwrite env'.split(
    ' ',
  );

type MountType = RunMount['type'];
type Draft = { -readonly [Key in keyof RunMount]: RunMount[Key] };

function fieldsOf(flag: string): string[] {
  return parseCsvLine(flag, (why) => mountError(`failed to parse csv mounts: ${why}`));
}

/** Bytes of a size such as `64m` or `1.5 GiB`; units are powers of 1024. Undefined where it is none. */
function parseSize(text: string): number | undefined {
  const match = /^(\d{1,20}(?:\.\d{0,20})?|\.\d{1,20}) ?(?:([kmgtp])(?:i?b)?|b)?$/i.exec(text);
  if (!match) return undefined;
  const power = match[2] === undefined ? 0 : 'kmgtp'.indexOf(match[2].toLowerCase()) + 1;
  const size = Math.trunc(Number(match[1]) * 1024 ** power);
  return size < 2 ** 63 ? size : undefined;
}

/** A whole number below 2^32 in base 8 or 10. */
function parseNumber(key: string, text: string, base: 8 | 10): number {
  const digits = base === 8 ? /^[0-7]{1,40}$/ : /^[0-9]{1,40}$/;
  const value = digits.test(text) ? parseInt(text, base) : -1;
  if (value < 0 || value >= 2 ** 32) {
    throw mountError(
      `invalid value ${clip(text, 40)} for ${key}`,
      base === 8 ? 'Write the mode in octal, for example 0600.' : 'User and group of a mount are numbers.',
    );
  }
  return value;
}

function oneOf<T extends string>(what: string, value: string, choices: readonly T[]): T {
  const word = value.toLowerCase();
  const found = choices.find((choice) => choice === word);
  if (found !== undefined) return found;
  const guess = word.length > 40 ? undefined : closest(word, choices, 2);
  throw mountError(`unsupported ${what} "${clip(value, 40)}"${didYouMean(guess)}`, `Known are ${choices.join(', ')}.`);
}

function booleanOf(key: string, value: string): boolean {
  const result = parseBool(value);
  if (result === undefined) {
    throw mountError(`invalid value for ${key}: ${clip(value, 40)}`, `Write ${key}, ${key}=true or ${key}=false.`);
  }
  return result;
}

function onlyFor(draft: Draft, key: string, ...types: readonly MountType[]): void {
  // A type that stands behind the key does not count yet, as in BuildKit.
  if (!types.includes(draft.type)) {
    throw mountError(
      `unexpected key '${key}' for mount type '${draft.type}'`,
      `${key} is for ${types.join(' and ')} mounts; the type stands in front of it.`,
    );
  }
}

/** What is known of a mount before its values are checked against each other. */
interface Progress {
  readonly draft: Draft;
  /** As `ro` or `rw` say, where one is given. */
  readOnly: boolean | undefined;
  sharing: RunMount['sharing'] | undefined;
}

function flagKey(key: string, field: string, progress: Progress): void {
  switch (key) {
    case 'readonly':
    case 'ro':
      progress.readOnly = true;
      break;
    case 'readwrite':
    case 'rw':
      progress.readOnly = false;
      break;
    case 'required':
      onlyFor(progress.draft, key, 'secret', 'ssh');
      progress.draft.required = true;
      break;
    default:
      throw mountError(`invalid field '${clip(field, 80)}' must be a key=value pair`);
  }
}

function valueKey(key: string, value: string, field: string, progress: Progress): void {
  const { draft } = progress;
  switch (key) {
    case 'type':
      draft.type = oneOf('mount type', value, TYPES);
      break;
    case 'from':
      draft.from = value;
      break;
    case 'source':
    case 'src':
      draft.source = value;
      break;
    case 'target':
    case 'dst':
    case 'destination':
      draft.target = value;
      break;
    case 'readonly':
    case 'ro':
      progress.readOnly = booleanOf(key, value);
      break;
    case 'readwrite':
    case 'rw':
      progress.readOnly = !booleanOf(key, value);
      break;
    case 'required':
      onlyFor(draft, key, 'secret', 'ssh');
      draft.required = booleanOf(key, value);
      break;
    case 'size':
      onlyFor(draft, key, 'tmpfs');
      draft.size = parseSize(value);
      if (draft.size === undefined) {
        throw mountError(`invalid value for size: ${clip(value, 40)}`, 'Write it as 64m or 1g.');
      }
      break;
    case 'id':
      draft.id = value;
      break;
    case 'sharing':
      progress.sharing = oneOf('sharing value', value, SHARING);
      break;
    case 'mode':
      draft.mode = parseNumber(key, value, 8);
      break;
    case 'uid':
    case 'gid':
      draft[key] = parseNumber(key, value, 10);
      break;
    case 'env':
      draft.env = value;
      break;
    default: {
      const guess = key.length > 40 ? undefined : closest(key, KEYS, 2);
      throw mountError(
        `unexpected key '${clip(key, 40)}' in '${clip(field, 80)}'${didYouMean(guess)}`,
        `Known are ${KEYS.join(', ')}.`,
      );
    }
  }
}

/** The rules between the keys, and the defaults. */
function complete({ draft, readOnly, sharing }: Progress): RunMount {
  const { type } = draft;
  const empty = (value: string | undefined): boolean => value === undefined || value === '';
  if (type === 'bind' || type === 'tmpfs') {
    for (const key of ['mode', 'uid', 'gid'] as const) {
      if (draft[key] !== undefined) {
        throw mountError(`${key} not allowed for "${type}" type mounts`, `${key} is for cache, secret and ssh mounts.`);
      }
    }
  }
  draft.readOnly = readOnly ?? (type !== 'cache' && type !== 'tmpfs');
  if (type === 'secret') {
    if (!empty(draft.from)) throw mountError('secret mount should not have a from');
    if (sharing !== undefined) throw mountError('secret mount should not define sharing');
    if (empty(draft.source) && empty(draft.target) && empty(draft.id)) {
      throw mountError(
        'invalid secret mount. one of source, target required',
        'Write --mount=type=secret,id=<id>; the secret is given with --secret id=<id>,...',
      );
    }
    if (!empty(draft.source) && !empty(draft.id)) throw mountError("both source and id can't be set");
    draft.id = draft.source || draft.id || baseName(draft.target ?? '');
    if (draft.env === undefined && empty(draft.target)) draft.target = `/run/secrets/${baseName(draft.id)}`;
  }
  if (sharing !== undefined && type !== 'cache') throw mountError(`invalid cache sharing set for ${type} mount`);
  draft.sharing = sharing ?? 'shared';
  if (type === 'ssh') {
    if (!empty(draft.source)) throw mountError('ssh does not support source', 'Write --mount=type=ssh,id=<id>.');
    draft.id = draft.id || 'default';
  }
  if (type === 'cache') draft.id = draft.id || cleanPath(draft.target ?? '');
  if (type !== 'secret' && type !== 'ssh' && !empty(draft.target) && cleanPath(draft.target ?? '') === '/') {
    throw mountError('invalid mount target "/"', 'Mount it on a folder below the root.');
  }
  for (const key of ['from', 'source', 'target'] as const) draft[key] = draft[key] || undefined;
  return draft;
}

/**
 * Reads the value of a `--mount` flag of RUN. EXPAND is called once for each value, in their order; keys without a value are not
 * expanded. Filled in are the defaults that need no more than the flag: `readOnly`, `sharing`, and the id of cache (the cleaned
 * target), secret (source or the target's last element) and ssh (`default`); the target of a secret that is no variable. A mode,
 * uid or gid that is not given stays undefined.
 * @throws StrakeError `MOUNT_INVALID`, and what EXPAND throws
 */
export function parseMount(flag: string, expand: (word: string) => string): RunMount {
  const progress: Progress = {
    draft: {
      type: 'bind',
      from: undefined,
      source: undefined,
      target: undefined,
      readOnly: true,
      required: false,
      id: undefined,
      sharing: 'shared',
      size: undefined,
      mode: undefined,
      uid: undefined,
      gid: undefined,
      env: undefined,
    },
    readOnly: undefined,
    sharing: undefined,
  };
  for (const field of fieldsOf(flag)) {
    const [name, value] = cut(field, '=');
    const key = name.toLowerCase();
    if (value === undefined) flagKey(key, field, progress);
    else valueKey(key, expand(value), field, progress);
  }
  return complete(progress);
}

/**
 * The `from` of a `--mount` flag, without looking at the rest: what the stage graph needs before anything can be expanded.
 * @throws StrakeError `MOUNT_INVALID` where the flag is no list of fields, or the name has a variable
 */
export function mountSource(flag: string): string | undefined {
  let from: string | undefined;
  for (const field of fieldsOf(flag)) {
    const [name, value] = cut(field, '=');
    if (value === undefined || name.toLowerCase() !== 'from') continue;
    const dollar = value.indexOf('$');
    if (dollar >= 0 && dollar !== value.length - 1) {
      throw mountError(
        "'from' doesn't support variable expansion, define alias stage instead",
        'Give the image a name with FROM $VARIABLE AS name, and mount from=name.',
      );
    }
    from = value === '' ? undefined : value;
  }
  return from;
}
