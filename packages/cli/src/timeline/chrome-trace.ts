import type { RecordedStep, Recording } from './recorder.js';

/** An event of the Trace Event Format. Times in microseconds. */
interface TraceEvent {
  readonly name: string;
  /** X: something with a duration; i: a moment; M: a name. */
  readonly ph: 'X' | 'i' | 'M';
  readonly pid: number;
  readonly tid: number;
  readonly ts?: number;
  readonly dur?: number;
  readonly cat?: string;
  /** Of a moment: that it belongs to its thread. */
  readonly s?: 't';
  readonly args?: Readonly<Record<string, unknown>>;
}

const PID = 1;

/** Rows in which nothing overlaps: viewers take what overlaps within a row for nested. */
class Lanes {
  readonly #ends: { readonly tid: number; readonly name: string; end: number }[] = [];
  readonly #counts = new Map<string, number>();

  place(name: string, start: number, end: number): number {
    const free = this.#ends.find((lane) => lane.name === name && lane.end <= start);
    if (free) {
      free.end = end;
      return free.tid;
    }
    const count = (this.#counts.get(name) ?? 0) + 1;
    this.#counts.set(name, count);
    const lane = { tid: this.#ends.length + 1, name, end };
    this.#ends.push(lane);
    return lane.tid;
  }

  names(): TraceEvent[] {
    return this.#ends.flatMap(({ tid, name }) => [
      { name: 'thread_name', ph: 'M', pid: PID, tid, args: { name } },
      { name: 'thread_sort_index', ph: 'M', pid: PID, tid, args: { sort_index: tid } },
    ]);
  }
}

function stepEvents(step: RecordedStep, lanes: Lanes): TraceEvent[] {
  const { name, start, end, state } = step;
  if (state === 'waiting') return [];
  const row = step.stage === '' ? 'result' : `stage ${step.stage}`;
  const tid = lanes.place(row, start, state === 'cached' ? start : end);
  const args = {
    id: step.id,
    state,
    critical: step.critical,
    inputs: step.inputs,
    ...(step.line === undefined ? {} : { line: step.line }),
    ...(step.error === undefined ? {} : { error: step.error }),
    ...(step.reasons.length === 0 ? {} : { reasons: step.reasons }),
  };
  const common = { name, pid: PID, tid, cat: state, ts: start * 1000 };
  if (state === 'cached') return [{ ...common, ph: 'i', s: 't', args }];
  const own: TraceEvent = { ...common, ph: 'X', dur: Math.max(0, end - start) * 1000, args };
  const moved = step.transfers.map((transfer): TraceEvent => {
    const lane = lanes.place(`${row}: transfers`, transfer.start, transfer.end);
    const dur = (transfer.end - transfer.start) * 1000;
    return {
      name: transfer.what,
      cat: 'transfer',
      ph: 'X',
      pid: PID,
      tid: lane,
      ts: transfer.start * 1000,
      dur,
      args: { bytes: transfer.bytes },
    };
  });
  return [own, ...moved];
}

/**
 * A build in the Trace Event Format, for Perfetto (ui.perfetto.dev) and chrome://tracing: a row a stage, more where its steps
 * overlap.
 */
export function chromeTrace(recording: Recording): string {
  const lanes = new Lanes();
  const events = [...recording.steps].sort((a, b) => a.start - b.start).flatMap((step) => stepEvents(step, lanes));
  return `${JSON.stringify({
    displayTimeUnit: 'ms',
    otherData: {
      title: recording.title,
      began: new Date(recording.began).toISOString(),
      result: recording.failure ?? 'built',
    },
    traceEvents: [
      { name: 'process_name', ph: 'M', pid: PID, tid: 0, args: { name: `strake build ${recording.title}`.trim() } },
      ...lanes.names(),
      ...events,
    ],
  })}\n`;
}
