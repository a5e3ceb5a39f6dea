import { statSync } from 'node:fs';
import path from 'node:path';

const REMOTE = /^(?:[a-z][a-z0-9+.-]*:\/\/|git@[^/:]+:|github\.com\/)/i;

/** Whether TEXT is written like a URL or a Git repository rather than a path. */
export function looksRemote(text: string): boolean {
  return REMOTE.test(text);
}

/** TEXT as an absolute path where it means a local file or folder; `-` and URLs as they are. An existing folder wins over a URL. */
export function absolute(text: string, cwd: string): string {
  if (text === '-') return text;
  const resolved = path.resolve(cwd, text);
  if (!looksRemote(text)) return resolved;
  return statSync(resolved, { throwIfNoEntry: false })?.isDirectory() ? resolved : text;
}

/** The value of `--build-context NAME=VALUE` with local paths made absolute. */
export function contextSource(value: string, cwd: string): string {
  const layout = /^oci-layout:\/\/(.+)$/.exec(value)?.[1];
  return layout === undefined ? absolute(value, cwd) : `oci-layout://${path.resolve(cwd, layout)}`;
}
