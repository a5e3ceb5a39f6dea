import type { Stats } from 'node:fs';

import { fsPath } from './paths.js';
import type { SourceEntry } from './source-tree.js';
import { deviceNumbers, fileIdentity, readLink } from './stat.js';

/** What few entries have. */
export type Extras = Pick<SourceEntry, 'link' | 'device' | 'inode' | 'xattrs'>;

/** What is to be known of the file FULL besides its type, mode, size and times; undefined where that is nothing. */
export function extrasOf(
  full: string,
  type: SourceEntry['type'],
  stat: Stats,
  xattrs: SourceEntry['xattrs'],
): Extras | undefined {
  const several = type === 'file' && stat.nlink > 1;
  if (!xattrs && !several && type !== 'symlink' && type !== 'char' && type !== 'block') return undefined;
  return {
    ...(type === 'symlink' ? { link: readLink(full) } : {}),
    ...(type === 'char' || type === 'block' ? { device: deviceNumbers(BigInt(stat.rdev)) } : {}),
    ...(several ? { inode: fileIdentity(fsPath(full)) } : {}),
    ...(xattrs ? { xattrs } : {}),
  };
}
