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

/** A variable that an instruction could see: name, value (of secrets a mark, see `secrets.ts`), where it comes from. */
export type SeenVariable = readonly [name: string, value: string, from: 'ARG' | 'ENV'];

/** What a step's instruction says, as far as its name does not. */
export interface InstructionNote {
  /** As written, variables not replaced. */
  readonly text: string;
  /** Of a RUN all that it sees, of others those that they name. */
  readonly variables: readonly SeenVariable[];
}

/** A step of a build as it is remembered, to be compared with the next build's. Values of secrets are in no field. */
export interface StepNote {
  readonly id: string;
  readonly name: string;
  readonly stage: string;
  readonly key: Digest;
  readonly cached: boolean;
  /** Milliseconds; 0 where cached. */
  readonly duration: number;
  /** Only of the last step of a build that failed. */
  readonly failed?: true;
  readonly reason: MissReason | undefined;
  /** Absent for FROM. */
  readonly instruction?: InstructionNote | undefined;
  /** Without `env`: it is in the instruction's variables. */
  readonly operation: Readonly<Record<string, unknown>>;
  readonly content: Readonly<Record<string, Digest>>;
  /** What it was built on: names of the steps, and their identities or the digests of what was taken from them. */
  readonly inputs: readonly { readonly name: string; readonly digest: Digest; readonly part: boolean }[];
}

/** What of a file changed. `before` and `after` are sizes for content, octal modes, `uid:gid`, types,
 * link targets, or commits of a repository. */
export interface FactChange {
  readonly fact: 'content' | 'mode' | 'owner' | 'type' | 'link' | 'commit';
  readonly before: string;
  readonly after: string;
}

/** A piece of a diff between two instructions: words that went, words that came in their place. */
export interface InstructionChange {
  readonly before: string;
  readonly after: string;
}

/** Reasons that say all by their name. */
export type PlainReason =
  /** No earlier build of this context, Dockerfile and target is known. */
  | 'first-build'
  | 'new-step'
  | 'no-cache'
  /** Its record is gone: pruned, or collected. */
  | 'record-collected'
  /** Its record is there, its layers are not. */
  | 'layers-removed'
  /** Further files changed than are told. */
  | 'more-files'
  /** Something that it reads changed; which files is no longer, or not, known. */
  | 'content'
  | 'unknown';

/** One reason why a step ran. `text` is for people; the rest says the same to tools. */
export type StepReason = { readonly text: string } & (
  | {
      readonly kind: PlainReason;
    }
  | {
      readonly kind: 'file';
      readonly path: string;
      readonly change: 'new' | 'gone' | 'changed';
      /** Empty where the file is new or gone. */
      readonly facts: readonly FactChange[];
    }
  | {
      readonly kind: 'variable';
      readonly variable: 'ARG' | 'ENV';
      readonly name: string;
      /** Absent where it is new, and of secrets. */
      readonly before?: string | undefined;
      /** Absent where it is gone, and of secrets. */
      readonly after?: string | undefined;
      /** Whether the name says that it is a secret: then no value is told. */
      readonly hidden: boolean;
    }
  | { readonly kind: 'instruction'; readonly changes: readonly InstructionChange[] }
  /** Of a base image: names with digests, or the digests of the topmost layers. */
  | { readonly kind: 'base'; readonly before: string; readonly after: string }
  /** A step that it was built on, or mounts as a whole, changed. */
  | { readonly kind: 'parent'; readonly step: string }
  /** Something else that its key is made of: `user`, `network`, `platform`, ... */
  | { readonly kind: 'setting'; readonly name: string; readonly before: string; readonly after: string }
);

/** A step with why it ran. */
export interface ExplainedStep extends StepNote {
  readonly reasons: readonly StepReason[];
}

/** A build as it is remembered. */
export interface BuildNote {
  readonly version: 2;
  /** Milliseconds since 1970. */
  readonly time: number;
  readonly steps: readonly ExplainedStep[];
}
