import type { ProgressEvent } from '@strake/core';
import type { StepReport } from '@strake/engine';
import { harmless, oneLine } from '../progress/text.js';
import { criticalPath } from './critical-path.js';
import type { Masker } from './mask.js';
import { KeptOutput, outputRoom } from './output.js';

/** Bytes moved by a step for one subject. Milliseconds since the build began. */
export interface RecordedTransfer {
  readonly what: string;
  readonly start: number;
  end: number;
  bytes: number;
}

export type StepState = 'cached' | 'run' | 'failed' | 'cancelled' | 'waiting';

/** A step of a build that has ended. Times are milliseconds since the build began; texts are harmless and without secrets. */
export interface RecordedStep {
  readonly id: string;
  readonly name: string;
  /** '' for what belongs to no stage: exports. */
  readonly stage: string;
  readonly inputs: readonly string[];
  readonly state: StepState;
  readonly start: number;
  readonly end: number;
  /** When the first step that was built on it began, while its own layer was still being written. */
  readonly handedOn: number | undefined;
  readonly critical: boolean;
  readonly line: number | undefined;
  readonly error: string | undefined;
  /** Why it ran. */
  readonly reasons: readonly string[];
  readonly output: string;
  readonly transfers: readonly RecordedTransfer[];
}

/** A build that has ended. */
export interface Recording {
  readonly title: string;
  /** Milliseconds since 1970. */
  readonly began: number;
  /** Milliseconds. */
  readonly duration: number;
  /** Undefined where the build came to its end. */
  readonly failure: string | undefined;
  /** In the order in which they were told, stage by stage. */
  readonly steps: readonly RecordedStep[];
  readonly warnings: readonly string[];
}

interface Step {
  readonly id: string;
  name: string;
  stage: string;
  inputs: readonly string[];
  line: number | undefined;
  start: number | undefined;
  end: number | undefined;
  cached: boolean;
  error: string | undefined;
  readonly output: KeptOutput;
  readonly transfers: Map<string, RecordedTransfer>;
}

/** Follows a build by its events, for `--trace` and `--timeline`. */
export class BuildRecorder {
  readonly #began: number;
  readonly #steps = new Map<string, Step>();
  readonly #warnings: string[] = [];
  readonly #room = outputRoom();

  /** BEGAN: milliseconds since 1970. */
  constructor(began: number) {
    this.#began = began;
  }

  event(event: ProgressEvent): void {
    if (event.type === 'warning') this.#warnings.push(event.message);
    if (event.type === 'warning' || event.type === 'note') return;
    const step = this.#step(event.id);
    if (event.type === 'step') {
      Object.assign(step, { name: event.name, stage: event.stage ?? '', inputs: event.inputs });
      step.line = event.location?.line;
      return;
    }
    const time = event.time - this.#began;
    switch (event.type) {
      case 'step-started':
        step.start ??= time;
        return;
      case 'step-cached':
        step.cached = true;
        step.start ??= time;
        step.end = time;
        return;
      case 'step-finished':
        step.end = time;
        step.error = event.error;
        return;
      case 'step-output':
        step.output.add(event.data);
        return;
      case 'progress': {
        const { subject, current, action } = event;
        const transfer = step.transfers.get(subject);
        if (!transfer) {
          step.transfers.set(subject, { what: `${action} ${subject}`, start: time, end: time, bytes: current });
        } else Object.assign(transfer, { end: time, bytes: current });
      }
    }
  }

  /** The build as it was until NOW. REPORTS: what the result says of its steps. FAILURE: why there is no result. */
  finish(now: number, title: string, mask: Masker, reports: readonly StepReport[] = [], failure?: string): Recording {
    const duration = Math.max(0, now - this.#began);
    const plain = [...this.#steps.values()].map((step) => ({
      id: step.id,
      inputs: step.inputs,
      cached: step.cached,
      start: step.start ?? duration,
      end: step.end ?? (step.start === undefined ? duration : Math.max(step.start, duration)),
      ran: step.start !== undefined && !step.cached,
    }));
    const critical = criticalPath(plain);
    const times = new Map(plain.map((one) => [one.id, one]));
    const why = new Map(reports.map(({ id, reasons }) => [id, reasons]));
    const handedOn = new Map<string, number>();
    for (const { inputs, start, ran } of plain) {
      if (ran) for (const id of inputs) handedOn.set(id, Math.min(handedOn.get(id) ?? Infinity, start));
    }
    const safe = (text: string): string => harmless(mask(text).replaceAll('\n', ' '));
    const steps = [...this.#steps.values()].map((step): RecordedStep => {
      const { start = duration, end = duration } = times.get(step.id) ?? {};
      const on = handedOn.get(step.id);
      return {
        id: step.id,
        name: mask(oneLine(step.name)),
        stage: safe(step.stage),
        inputs: step.inputs,
        state: stateOf(step),
        start,
        end,
        handedOn: on !== undefined && on > start && on < end ? on : undefined,
        critical: critical.has(step.id),
        line: step.line,
        error: step.error === undefined ? undefined : safe(step.error),
        reasons: (why.get(step.id) ?? []).map(({ text }) => safe(text)),
        output: step.output.text(mask),
        transfers: [...step.transfers.values()].map((one) => ({ ...one, what: safe(one.what) })),
      };
    });
    return {
      title: safe(title),
      began: this.#began,
      duration,
      failure: failure === undefined ? undefined : safe(failure),
      steps: byStage(steps),
      warnings: this.#warnings.map(safe),
    };
  }

  #step(id: string): Step {
    let step = this.#steps.get(id);
    if (!step) {
      step = {
        id,
        name: id,
        stage: '',
        inputs: [],
        line: undefined,
        start: undefined,
        end: undefined,
        cached: false,
        error: undefined,
        output: new KeptOutput(this.#room),
        transfers: new Map(),
      };
      this.#steps.set(id, step);
    }
    return step;
  }
}

function stateOf({ cached, error, start, end }: Step): StepState {
  if (error !== undefined) return /^cancell?ed\b/i.test(error) ? 'cancelled' : 'failed';
  if (cached) return 'cached';
  if (start === undefined) return 'waiting';
  return end === undefined ? 'cancelled' : 'run';
}

/** The steps of a stage together, in the order in which the stages began; exports last. */
function byStage(steps: readonly RecordedStep[]): RecordedStep[] {
  const stages = new Map<string, RecordedStep[]>();
  for (const step of steps) {
    const list = stages.get(step.stage);
    if (list) list.push(step);
    else stages.set(step.stage, [step]);
  }
  const none = stages.get('') ?? [];
  stages.delete('');
  return [...[...stages.values()].flat(), ...none];
}
