import { StringDecoder } from 'node:string_decoder';
import type { ProgressEvent } from '@strake/core';

export type StepStatus = 'waiting' | 'running' | 'cached' | 'done' | 'failed';

/** Bytes moved by a step for one subject: a blob, a file. */
export interface Transfer {
  readonly action: string;
  readonly subject: string;
  readonly current: number;
  readonly total: number | undefined;
  readonly done: boolean;
  readonly startedAt: number;
}

/** What is known of a step. Times are milliseconds since 1970. */
export interface StepState {
  readonly id: string;
  readonly name: string;
  readonly status: StepStatus;
  readonly startedAt: number | undefined;
  readonly finishedAt: number | undefined;
  readonly error: string | undefined;
  /** The last lines of its output; the last one may still be unfinished. */
  readonly tail: readonly string[];
  readonly transfers: ReadonlyMap<string, Transfer>;
}

export interface Warning {
  readonly rule: string | undefined;
  readonly message: string;
  readonly line: number | undefined;
}

/** Everything that a display shows. */
export interface ProgressState {
  /** In the order in which they were told. */
  readonly steps: ReadonlyMap<string, StepState>;
  readonly warnings: readonly Warning[];
  readonly notes: readonly string[];
}

/** Lines of output that are kept of a step, and characters of a line. */
export const TAIL_LINES = 20;
const TAIL_LINE_LENGTH = 4096;

type Mutable<T> = { -readonly [K in keyof T]: T[K] };
type MutableStep = Mutable<Omit<StepState, 'tail' | 'transfers'>> & {
  tail: string[];
  transfers: Map<string, Transfer>;
};

/** Follows the events of a build. State is changed in place: a chatty step makes many events. */
export class ProgressTracker implements ProgressState {
  readonly steps: Map<string, MutableStep> = new Map();
  readonly warnings: Warning[] = [];
  readonly notes: string[] = [];
  readonly #decoders = new Map<string, StringDecoder>();

  /** Takes in one event; returns the step that it is about. */
  apply(event: ProgressEvent): StepState | undefined {
    if (event.type === 'note') {
      this.notes.push(event.message);
      return undefined;
    }
    if (event.type === 'warning') {
      const { rule, message, location } = event;
      this.warnings.push({ rule, message, line: location?.line });
      return undefined;
    }
    const step = this.#step(event.id);
    switch (event.type) {
      case 'step':
        step.name = event.name;
        break;
      case 'step-started':
        step.status = 'running';
        step.startedAt ??= event.time;
        break;
      case 'step-cached':
        step.status = 'cached';
        step.startedAt ??= event.time;
        step.finishedAt = event.time;
        break;
      case 'step-finished':
        if (event.error !== undefined) step.status = 'failed';
        else if (step.status !== 'cached') step.status = 'done';
        step.error = event.error;
        step.finishedAt = event.time;
        break;
      case 'step-output':
        this.#append(step, event.stream, event.data);
        break;
      case 'progress': {
        const { action, subject, current, total, done = false, time } = event;
        const startedAt = step.transfers.get(subject)?.startedAt ?? time;
        step.transfers.set(subject, { action, subject, current, total, done, startedAt });
        break;
      }
    }
    return step;
  }

  #step(id: string): MutableStep {
    let step = this.steps.get(id);
    if (!step) {
      step = {
        id,
        name: id,
        status: 'waiting',
        startedAt: undefined,
        finishedAt: undefined,
        error: undefined,
        tail: [],
        transfers: new Map(),
      };
      this.steps.set(id, step);
    }
    return step;
  }

  #append(step: MutableStep, stream: string, data: Uint8Array): void {
    const key = `${stream} ${step.id}`;
    let decoder = this.#decoders.get(key);
    if (!decoder) this.#decoders.set(key, (decoder = new StringDecoder('utf8')));
    const lines = decoder.write(data).split('\n');
    step.tail.push(`${step.tail.pop() ?? ''}${lines[0] ?? ''}`.slice(-TAIL_LINE_LENGTH));
    // `+ 1`: the last one is empty where the output ends with a newline
    for (const line of lines.slice(1).slice(-TAIL_LINES - 1)) step.tail.push(line.slice(0, TAIL_LINE_LENGTH));
    step.tail.splice(0, step.tail.length - TAIL_LINES - 1);
  }
}
