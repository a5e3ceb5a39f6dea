import type { ProgressEvent } from '@strake/core';

import type { BuildOptions, BuildResult, Engine, RunImageOptions } from '../types.js';

/** What `strake watch` and `watch()` take. */
export interface WatchOptions {
  /** Used until the watch ends; it is not closed. */
  readonly engine: Engine;
  /** What to build, each time. Its context is a folder. `signal`, `onEvent` and `memory` are the watch's own. */
  readonly build: Omit<BuildOptions, 'signal' | 'onEvent' | 'memory' | 'stdin'>;
  /**
   * Milliseconds without a further save before a result is used (restart, `onResult`). Building begins with the first save.
   * Default 30.
   */
  readonly debounce?: number | undefined;
  /** Ends the watch with all that it started. */
  readonly signal: AbortSignal;
  /** Must not throw. */
  readonly onEvent: (event: WatchEvent) => void;
  /** Runs the image: a container of each result takes the place of the one before. */
  readonly run?: WatchRun | undefined;
  /** A shell line that runs on this machine after each result. */
  readonly exec?: string | undefined;
}

/** How the container of `--run` is run. */
export type WatchRun = Pick<RunImageOptions, 'command' | 'env' | 'workdir' | 'user' | 'entrypoint' | 'network'> & {
  /** Milliseconds between stop signal and SIGKILL; default 10,000. A program that does not catch the signal is killed at once. */
  readonly grace?: number | undefined;
  /** Where only files changed, put them into the running container instead of starting a new one. */
  readonly sync?: boolean | undefined;
  /** With `sync`: start a new container all the same. */
  readonly restart?: boolean | undefined;
  /** With `sync`: compare the container with the image afterwards. */
  readonly verify?: boolean | undefined;
};

/** Why something was built: paths as people name them, below the folder that was built where they lie there. */
export interface WatchCause {
  readonly paths: readonly string[];
}

/** What a watch tells. Times are milliseconds since 1970, durations milliseconds. */
export type WatchEvent =
  /** Something of the build under way. */
  | { readonly type: 'build-event'; readonly event: ProgressEvent }
  | ({ readonly type: 'building'; readonly time: number } & WatchCause)
  /** Further saves made what was being built outdated. */
  | { readonly type: 'cancelled'; readonly time: number }
  | ({
      readonly type: 'built';
      readonly time: number;
      readonly result: BuildResult;
      /** The first step that ran; undefined where all were cached. */
      readonly first?: WatchedStep | undefined;
      /** Steps that ran, base images not counted. */
      readonly ran: number;
      /** From the first save to the result; of the first build its own time. */
      readonly duration: number;
      /** What was done with the result: `restarted`, `synced 2 files`. */
      readonly actions: readonly string[];
      /** Whether the image is the same as before: then nothing is restarted. */
      readonly unchanged: boolean;
    } & WatchCause)
  /** The build failed: what ran before goes on, the next save tries again. */
  | ({
      readonly type: 'failed';
      readonly time: number;
      readonly error: unknown;
      readonly duration: number;
    } & WatchCause)
  /** From now on saves are seen. */
  | { readonly type: 'watching'; readonly time: number; readonly folders: number }
  /** inotify's limits do not let all folders be watched. */
  | {
      readonly type: 'polling';
      readonly time: number;
      readonly folders: number;
      readonly message: string;
      readonly hint: string;
    }
  | { readonly type: 'output'; readonly stream: 'stdout' | 'stderr'; readonly data: Uint8Array; readonly time: number }
  | {
      readonly type: 'container';
      readonly state: 'started' | 'restarted' | 'exited' | 'failed';
      readonly time: number;
      readonly exitCode?: number | undefined;
      readonly error?: unknown;
    }
  /** Something that people should know. */
  | { readonly type: 'warning'; readonly time: number; readonly message: string }
  | { readonly type: 'exec'; readonly time: number; readonly exitCode: number; readonly duration: number };

/** A step of the build, counted among all of it. */
export interface WatchedStep {
  readonly number: number;
  readonly of: number;
  /** As BuildKit prints it: `[build 2/5] RUN make`. */
  readonly name: string;
}
