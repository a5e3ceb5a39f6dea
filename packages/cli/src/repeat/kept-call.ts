import type { BuildEvidence } from '@strake/engine';

/** A call of the command that ran nothing. Of what it was, only the file's name tells. */
export interface IdleCall {
  readonly format: typeof FORMAT;
}

/** One that the same call is answered with, as long as what it hung on is as it was. */
export interface KeptAnswer extends IdleCall, Omit<BuildEvidence, 'note'> {
  /** See `describeCall`. */
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

export type KeptCall = IdleCall | KeptAnswer;

export const FORMAT = 1;

export function isAnswer(kept: Partial<KeptCall>): kept is KeptAnswer {
  return 'seen' in kept;
}

/** The folder of kept calls below the root of a store. */
export function keptFolder(root: string): string {
  return `${root}/repeats`;
}
