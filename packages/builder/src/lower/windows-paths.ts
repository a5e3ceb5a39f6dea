import { posix } from 'node:path';

import { builderError } from '../errors.js';

/**
 * PATH with slashes and without its drive, where the image is for Windows: there is the drive C: alone, and what follows it without
 * a slash is relative. Elsewhere these are names like any other.
 * @throws StrakeError `INSTRUCTION_INVALID`
 */
export function withoutDrive(path: string, os: string): string {
  if (os !== 'windows') return path;
  const text = path.replaceAll('\\', '/');
  const refuse = (why: string, hint?: string): Error =>
    builderError('INSTRUCTION_INVALID', `"${path}" is no path in an image for Windows: ${why}`, { hint });
  if (/^.:$/s.test(text)) throw refuse('no relative path is specified behind the drive', 'The root is "C:\\".');
  if (text.startsWith('//')) throw refuse('UNC paths are not supported');
  const colon = text.indexOf(':');
  if (colon >= 0 && text.slice(0, colon).toLowerCase() !== 'c') throw refuse('it is not on the system drive (C:)');
  return text.slice(colon + 1);
}

/** As {@link withoutDrive}, of where a COPY goes: clean, so that a slash at its end makes it a folder, and `\.` does not. */
export function targetWithoutDrive(path: string, os: string): string {
  return os === 'windows' ? posix.normalize(withoutDrive(path, os)) : path;
}
