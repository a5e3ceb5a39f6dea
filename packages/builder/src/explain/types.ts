import type { Digest } from '@strake/core';
import type { MissReason } from '@strake/solver';

/**
 * A file of what a COPY, an ADD or a bind mount took: path, type, mode, owner and group, size, link, digest of the content.
 * An array, since there may be hundreds of thousands.
 */
export type SelectedFact = readonly [
  path: string,
  type: string,
  mode: number,
  uid: number,
  gid: number,
  size: number,
  link: string,
  digest: string,
];

/** A step of a build as it is remembered, to be compared with the next build's. Values of secrets are in no field. */
export interface StepNote {
  readonly id: string;
  readonly name: string;
  readonly stage: string;
  readonly key: Digest;
  readonly cached: boolean;
  /** Milliseconds; 0 where cached. */
  readonly duration: number;
  readonly reason: MissReason | undefined;
  readonly operation: Readonly<Record<string, unknown>>;
  readonly content: Readonly<Record<string, Digest>>;
  /** What it was built on: names of the steps, and their identities or the digests of what was taken from them. */
  readonly inputs: readonly { readonly name: string; readonly digest: Digest; readonly part: boolean }[];
}

/** A build as it is remembered. */
export interface BuildNote {
  readonly version: 1;
  /** Milliseconds since 1970. */
  readonly time: number;
  readonly steps: readonly (StepNote & { readonly reasons: readonly string[] })[];
}
