import { bootId } from '../holders.js';

/** The facts of a layer in its file `info`: tar and index count as there where they have these sizes. */
export interface LayerFacts {
  readonly size: number;
  readonly index: number;
  /** The boot of the machine in which it was written; absent once tar and index are on the disk. */
  readonly boot?: string;
}

/** Whether what FACTS say of the files holds: after a power cut those that were not on the disk may have any content. */
export function isOfThisBoot({ boot }: LayerFacts): boolean {
  return boot === undefined || boot === bootId();
}
