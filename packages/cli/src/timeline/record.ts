import { isStrakeError, type ProgressEvent } from '@strake/core';
import type { BuildOptions, BuildResult } from '@strake/engine';
import { writeResultFile } from '../build/result-file.js';
import type { Io } from '../io.js';
import { familiar } from '../print/names.js';
import { maskSecretsOf } from './mask.js';
import { BuildRecorder } from './recorder.js';

/** Files that a build is to be recorded in. */
export interface RecordingFiles {
  readonly trace: string | undefined;
  readonly timeline: string | undefined;
}

/** A build that is being recorded. */
export interface RecordedBuild {
  event(event: ProgressEvent): void;
  /** Writes the files, also of a build that failed: FAILURE. @throws StrakeError `FILE_UNWRITABLE` */
  write(result: BuildResult | undefined, failure?: unknown): Promise<void>;
}

/** Begins to record a build for `--trace` and `--timeline`. */
export function recordBuild(files: RecordingFiles, options: BuildOptions, io: Io): RecordedBuild {
  const recorder = new BuildRecorder(io.now());
  // Now, since a secret's file may be gone when the build has ended.
  const mask = maskSecretsOf(options, io.env);
  const title = (options.tags ?? []).map(familiar).join(', ') || (options.target ?? '');
  return {
    event: (event) => recorder.event(event),
    write: async (result, failure) => {
      const text = failure === undefined ? undefined : isStrakeError(failure) ? failure.message : 'failed';
      const recording = recorder.finish(io.now(), title, mask, result?.steps, text);
      if (files.trace !== undefined) {
        const { chromeTrace } = await import('./chrome-trace.js');
        writeResultFile(files.trace, chromeTrace(recording), io.cwd);
      }
      if (files.timeline !== undefined) {
        const { timelinePage } = await import('./page.js');
        writeResultFile(files.timeline, timelinePage(recording), io.cwd);
      }
    },
  };
}
