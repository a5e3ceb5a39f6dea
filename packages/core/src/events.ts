import type { Digest } from './digest.js';
import type { SourceLocation } from './errors.js';

/** Times are milliseconds since 1970. `id` names a step within its build. */
export type ProgressEvent =
  /** A step that the build consists of, told before it starts. `name` as BuildKit prints it: `[build 2/5] RUN make`. */
  | {
      readonly type: 'step';
      readonly id: string;
      readonly name: string;
      readonly inputs: readonly string[];
      readonly stage?: string | undefined;
      readonly location?: SourceLocation | undefined;
    }
  | { readonly type: 'step-started'; readonly id: string; readonly time: number }
  /** The step's result came from the cache: nothing was run. */
  | { readonly type: 'step-cached'; readonly id: string; readonly time: number; readonly key: Digest }
  | { readonly type: 'step-finished'; readonly id: string; readonly time: number; readonly error?: string | undefined }
  | {
      readonly type: 'step-output';
      readonly id: string;
      readonly time: number;
      readonly stream: 'stdout' | 'stderr';
      readonly data: Uint8Array;
    }
  /** Bytes moved by a step: a pull, a push, an export. `total` where it is known; `done` with the last one. */
  | {
      readonly type: 'progress';
      readonly id: string;
      readonly time: number;
      readonly action: string;
      readonly subject: string;
      readonly current: number;
      readonly total?: number | undefined;
      readonly done?: boolean | undefined;
    }
  | {
      readonly type: 'warning';
      /** The lint rule's name, for example `StageNameCasing`; absent for other warnings. */
      readonly rule?: string | undefined;
      readonly message: string;
      readonly description?: string | undefined;
      readonly url?: string | undefined;
      readonly location?: SourceLocation | undefined;
    }
  /** A line that explains a decision: which backend was chosen, what a flag does not do here. */
  | { readonly type: 'note'; readonly message: string };

/** Takes events. Must not throw. */
export type ProgressSink = (event: ProgressEvent) => void;
