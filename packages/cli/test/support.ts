import type { Digest, ProgressEvent } from '@strake/core';
import type { BuildOptions, BuildResult, Engine, EngineOptions } from '@strake/engine';
import type { Io, Output } from '../src/io.js';
import { main } from '../src/main.js';

/** Bytes of a text. */
export function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

export class Collector implements Output {
  text = '';
  readonly isTerminal: boolean;

  constructor(isTerminal = false) {
    this.isTerminal = isTerminal;
  }

  write(data: string | Uint8Array): void {
    this.text += typeof data === 'string' ? data : Buffer.from(data).toString();
  }

  size(): { columns: number; rows: number } {
    return { columns: 80, rows: 24 };
  }
}

export const DIGEST: Digest = `sha256:${'b'.repeat(64)}`;
export const CONFIG_DIGEST: Digest = `sha256:${'c'.repeat(64)}`;

export const BUILT: BuildResult = {
  image: { mediaType: 'application/vnd.oci.image.manifest.v1+json', digest: DIGEST, size: 2 },
  configDigest: CONFIG_DIGEST,
  names: ['docker.io/library/app:latest'],
  steps: [
    { id: 'a', name: '[1/2] FROM busybox', cached: true, duration: 0, reasons: [] },
    {
      id: 'b',
      name: '[2/2] RUN make',
      cached: false,
      duration: 3,
      reasons: [{ kind: 'new-step', text: 'the step is new' }],
    },
  ],
  duration: 214,
  metadata: { 'containerimage.digest': DIGEST },
};

/** An engine of which a test gives the methods that it expects to be called. */
export function engineWith(methods: Partial<Engine>): Engine {
  const unexpected = (): Promise<never> => Promise.reject(new Error('not expected in this test'));
  return {
    build: unexpected,
    call: unexpected,
    plan: unexpected,
    pull: unexpected,
    push: unexpected,
    save: unexpected,
    load: unexpected,
    images: unexpected,
    inspect: unexpected,
    tag: unexpected,
    remove: unexpected,
    run: unexpected,
    start: unexpected,
    prune: unexpected,
    diskUsage: unexpected,
    explain: unexpected,
    doctor: unexpected,
    close: () => Promise.resolve(),
    ...methods,
  };
}

export interface Outcome {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly engineOptions: EngineOptions | undefined;
  readonly closed: boolean;
}

/** Runs a command line on an engine of which only METHODS work. */
export async function strake(argv: string[], methods: Partial<Engine> = {}, more: Partial<Io> = {}): Promise<Outcome> {
  const stdout = new Collector();
  const stderr = new Collector();
  let engineOptions: EngineOptions | undefined;
  let closed = false;
  const status = await main(argv, {
    stdin: () => process.stdin,
    stdout,
    stderr,
    env: {},
    home: '/nowhere',
    cwd: '/work',
    signal: new AbortController().signal,
    now: () => 1_000_000,
    createEngine: (options) => {
      engineOptions = options;
      const close = (): Promise<void> => {
        closed = true;
        return Promise.resolve();
      };
      return Promise.resolve({ ...engineWith(methods), close });
    },
    authentication: () => Promise.reject(new Error('not expected in this test')),
    watch: () => Promise.reject(new Error('not expected in this test')),
    restoreAtExit: () => () => undefined,
    ...more,
  });
  return { status, stdout: stdout.text, stderr: stderr.text, engineOptions, closed };
}

/** The options that a command line of `build` hands to the engine. */
export async function built(argv: string[], more: Partial<Io> = {}): Promise<BuildOptions> {
  let given: BuildOptions | undefined;
  const { stderr } = await strake(
    ['build', ...argv],
    {
      build: (options) => {
        given = options;
        return Promise.resolve(BUILT);
      },
    },
    more,
  );
  if (!given) throw new Error(stderr);
  return given;
}

/** The events of a step, times in milliseconds. */
export interface StepEvents {
  step(name: string): ProgressEvent;
  started(time: number): ProgressEvent;
  cached(time: number): ProgressEvent;
  output(time: number, text: string, stream?: 'stdout' | 'stderr'): ProgressEvent;
  finished(time: number, error?: string): ProgressEvent;
}

/** Makes events of the step ID. */
export function of(id: string): StepEvents {
  return {
    step: (name) => ({ type: 'step', id, name, inputs: [] }),
    started: (time) => ({ type: 'step-started', id, time }),
    cached: (time) => ({ type: 'step-cached', id, time, key: DIGEST }),
    output: (time, text, stream = 'stdout') => ({ type: 'step-output', id, time, stream, data: utf8(text) }),
    finished: (time, error) => ({ type: 'step-finished', id, time, error }),
  };
}
