import type { BuildEvidence } from '@strake/engine';

/** A build that was answered from the cache, kept so that the same call is answered from this file alone. */
export interface KeptCall extends Omit<BuildEvidence, 'note'> {
  readonly format: typeof FORMAT;
  /** See {@link describeCall}. */
  readonly call: string;
  /** Variables of the environment that it read; null: not set. */
  readonly env: readonly (readonly [name: string, value: string | null])[];
  /** Of the running kernel: after a power cut nothing is believed that was not checked. */
  readonly boot: string;
  /** What it left for `strake explain`. */
  readonly note: { readonly files: readonly string[]; readonly content: Readonly<Record<string, unknown>> };
  readonly stdout: string;
  /** Before and behind the time that it took. */
  readonly stderr: readonly [string] | readonly [string, string];
}

export const FORMAT = 1;

/** The folder of kept calls below the root of a store. */
export function keptFolder(root: string): string {
  return `${root}/repeats`;
}
