import type { Descriptor, Digest, ImageConfig, ProgressEvent, SourceLocation } from '@strake/core';
import type { BuildOptions as EngineBuildOptions, BuildResult as EngineBuildResult, StepReason } from '@strake/engine';

import { EventQueue, type BuildEvent } from './event-queue.js';

/** A build that runs. Either half may be left alone: nothing goes unhandled, and nothing waits for a reader. */
export interface Build {
  /**
   * What happens, as it happens, up to `finished`; for one reader, at any time. Leaving the loop does not end the build. A slow
   * reader misses output (`step-output-lost` tells how much) and steps of progress, and nothing else.
   */
  readonly events: AsyncIterable<BuildEvent>;
  /** Rejects with a {@link StrakeError} where the build fails. By then nothing of it runs any more. */
  readonly result: Promise<BuildResult>;
}

/** A step of a finished build. Times are milliseconds since 1970, durations milliseconds. */
export interface BuildStep {
  readonly id: string;
  /** As BuildKit prints it: `[build 2/5] RUN make`. */
  readonly name: string;
  /** Of the stage; `stage-0` where it has none. */
  readonly stage?: string | undefined;
  readonly location?: SourceLocation | undefined;
  readonly cached: boolean;
  /** What the step is remembered by: the digest of all that decides its result. */
  readonly key?: Digest | undefined;
  /** When it began to run; undefined where it was cached. */
  readonly started?: number | undefined;
  readonly duration: number;
  /** Why it ran, for people (`text`: `src/a.ts changed (content)`) and for programs (`kind` ...). Empty where it was cached. */
  readonly reasons: readonly StepReason[];
}

/** A finished build. */
export interface BuildResult {
  /** Of the manifest, or of the index of several platforms; undefined where no output makes an image. */
  readonly digest?: Digest | undefined;
  readonly descriptor?: Descriptor | undefined;
  /** What Docker calls the image's id. */
  readonly configDigest?: Digest | undefined;
  /** Of the first platform. */
  readonly config?: ImageConfig | undefined;
  /** Bytes of the image's layers, unpacked; of the first platform. */
  readonly size: number;
  /** Canonical names that the image was stored or pushed under. */
  readonly names: readonly string[];
  readonly steps: readonly BuildStep[];
  readonly timings: {
    /** Milliseconds since 1970. */
    readonly started: number;
    readonly finished: number;
    /** Milliseconds. */
    readonly duration: number;
  };
  /** BuildKit's `containerimage.*` keys, as of `--metadata-file`. */
  readonly metadata: Readonly<Record<string, unknown>>;
}

/** Begins a build that RUN does, and tells of it. */
export function startBuild(
  options: () => EngineBuildOptions,
  run: (options: EngineBuildOptions) => Promise<EngineBuildResult>,
): Build {
  const events = new EventQueue();
  const known = new Map<string, Known>();
  const onEvent = (told: ProgressEvent): void => {
    const event = withoutSource(told);
    remember(known, event);
    events.push(event);
  };
  const work = async (): Promise<BuildResult> => {
    const started = Date.now();
    try {
      const result = publicResult(await run({ ...options(), onEvent }), known, started);
      events.push({ type: 'finished', time: result.timings.finished });
      return result;
    } catch (error) {
      events.push({ type: 'finished', time: Date.now(), error: error instanceof Error ? error : undefined });
      throw error;
    } finally {
      events.end();
    }
  };
  const result = work();
  result.catch(() => undefined);
  return { events, result };
}

/** EVENT without the whole text of the Dockerfile, which its location has for excerpts. */
function withoutSource(event: ProgressEvent): ProgressEvent {
  if ((event.type !== 'step' && event.type !== 'warning') || !event.location) return event;
  return { ...event, location: { ...event.location, source: undefined } };
}

/** What the events tell of a step besides the result. */
interface Known {
  readonly stage?: string | undefined;
  readonly location?: SourceLocation | undefined;
  started?: number;
}

function remember(known: Map<string, Known>, event: ProgressEvent): void {
  if (event.type === 'step') known.set(event.id, { stage: event.stage, location: event.location });
  else if (event.type === 'step-started') {
    const step = known.get(event.id);
    if (step) step.started = event.time;
  }
}

function publicResult(result: EngineBuildResult, known: ReadonlyMap<string, Known>, started: number): BuildResult {
  const { image, configDigest, config, names, metadata } = result;
  const finished = Date.now();
  return {
    digest: image?.digest,
    descriptor: image,
    configDigest,
    config,
    size: result.size ?? 0,
    names,
    steps: result.steps.map((step) => ({ ...step, ...known.get(step.id) })),
    timings: { started, finished, duration: finished - started },
    metadata,
  };
}
