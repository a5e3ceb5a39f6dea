import { statSync } from 'node:fs';

import { errnoOf } from '@strake/core';

import { bootId } from '../holders.js';

/** The facts of a layer in its file `info`: tar and index count as there where they have these sizes. */
export interface LayerFacts {
  readonly size: number;
  readonly index: number;
  /** The boot of the machine in which it was written; absent once tar and index are on the disk. */
  readonly boot?: string;
  /** {@link stampOf} the tar that was written here: while it holds, nobody has touched the file since. */
  readonly stamp?: string | undefined;
}

/** What changes with any change of a file: inode, size, times. Undefined where it is not there. */
export function stampOf(path: string): string | undefined {
  try {
    const { ino, size, mtimeNs, ctimeNs } = statSync(path, { bigint: true });
    return `${ino} ${size} ${mtimeNs} ${ctimeNs}`;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** Whether what FACTS say of the files holds: after a power cut those that were not on the disk may have any content. */
export function isOfThisBoot({ boot }: LayerFacts): boolean {
  return boot === undefined || boot === bootId();
}
