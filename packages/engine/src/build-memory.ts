import { KeptTrees, type ReadFiles } from '@strake/builder';

/**
 * What the builds of a long-lived process read of this machine's files: Dockerfile, ignore file, secrets, and what COPY, ADD and
 * bind mounts of the stages that were needed selected. The next build reads only what was said to have changed.
 */
export interface BuildMemory {
  /** What to watch. After a failed build also what builds before it have read. */
  reads(): ReadFiles;
  /** Whether a build can see a change at an absolute path. */
  concerns(path: string): boolean;
  /** Takes note of changes at absolute paths. Not while a build runs: what that has read must stay what it was. */
  changed(paths: Iterable<string>): void;
  /** Forgets everything. */
  restart(): void;
  /** Forgets everything, where most of what is kept is of the past. Not while a build runs. */
  renew(): Promise<void>;
  /** Looks for changes that nobody told of (FOLDERS: in these); gives way to others meanwhile. Its result is for `changed`. */
  findChanged(signal?: AbortSignal, folders?: ReadonlySet<string>): Promise<readonly string[]>;
  /** As `findChanged`, but only at the next few, from where the call before ended; DONE: those were the last ones. */
  lookOn(): { readonly changed: readonly string[]; readonly done: boolean };
  /** Keeps what was learned on the disk, for other processes. */
  save(): Promise<void>;
}

/** A memory for the builds of one context, see {@link BuildMemory}. */
export function createBuildMemory(): BuildMemory {
  return new KeptTrees();
}

/** What the engine's own builds need of a memory. */
export function keptBy(memory: BuildMemory | undefined): KeptTrees | undefined {
  return memory instanceof KeptTrees ? memory : undefined;
}
