import type { ProgressState, StepState } from './state.js';
import { bytes, fit, harmless, oneLine, seconds, width } from './text.js';

/** Lines of output shown below a running step, and transfers. */
const OUTPUT_LINES = 6;
const TRANSFERS = 4;

export interface FrameOptions {
  readonly now: number;
  readonly startedAt: number;
  readonly columns: number;
  /** Lines that the frame may have. */
  readonly rows: number;
  readonly colors: boolean;
  /** The last frame: every step, no output. */
  readonly final: boolean;
}

const COLORS: Readonly<Record<string, string>> = { cached: '34', done: '34', failed: '31', dim: '2' };

function paint(text: string, kind: string, colors: boolean): string {
  const color = COLORS[kind];
  return colors && color !== undefined ? `\u001b[${color}m${text}\u001b[0m` : text;
}

function padded(left: string, right: string, columns: number): string {
  const room = Math.max(10, columns - right.length - 1);
  const text = fit(left, room);
  return `${text}${' '.repeat(Math.max(1, room - width(text) + 1))}${right}`;
}

function isFinished(step: StepState): boolean {
  return step.finishedAt !== undefined;
}

function stepLine(step: StepState, { now, columns, colors }: FrameOptions): string {
  const marks: Readonly<Record<string, string>> = { cached: 'CACHED ', failed: 'ERROR ' };
  const took = (step.finishedAt ?? now) - (step.startedAt ?? now);
  const line = padded(` => ${marks[step.status] ?? ''}${oneLine(step.name)}`, seconds(took), columns);
  return paint(line, step.status, colors);
}

function detailLines(step: StepState, options: FrameOptions): string[] {
  const { columns, colors, now } = options;
  const transfers = [...step.transfers.values()].filter((transfer) => !transfer.done).slice(-TRANSFERS);
  const lines = transfers.map(({ action, subject, current, total, startedAt }) => {
    const size = total === undefined ? bytes(current) : `${bytes(current)} / ${bytes(total)}`;
    return padded(` => => ${harmless(action)} ${harmless(subject)} ${size}`, seconds(now - startedAt), columns);
  });
  const output = step.tail.map(harmless).filter((line) => line.trim() !== '');
  for (const line of output.slice(-OUTPUT_LINES)) lines.push(paint(fit(` => => # ${line}`, columns), 'dim', colors));
  return lines;
}

/**
 * The lines of the live display: a heading with time and counts, the steps that have started, below the running ones their
 * transfers and last output. Where there is too little room the oldest finished steps give way first, then output.
 */
export function renderFrame(state: ProgressState, options: FrameOptions): string[] {
  const steps = [...state.steps.values()];
  const started = steps.filter((step) => step.startedAt !== undefined);
  const finished = started.filter(isFinished).length;
  const took = seconds(options.now - options.startedAt);
  const failed = steps.some((step) => step.status === 'failed');
  const verdict = !options.final ? '' : failed ? ' FAILED' : ' FINISHED';
  const heading = fit(`[+] Building ${took} (${finished}/${steps.length})${verdict}`, options.columns);
  if (options.final) return [heading, ...started.map((step) => stepLine(step, options))];

  const room = Math.max(1, options.rows - 1);
  const running = started.filter((step) => !isFinished(step)).slice(-room);
  let details = running.map((step) => detailLines(step, options));
  const spare = Math.max(0, room - running.length);
  const each = Math.floor(spare / Math.max(1, running.length));
  if (details.reduce((sum, lines) => sum + lines.length, 0) > spare) {
    details = details.map((lines) => (each === 0 ? [] : lines.slice(-each)));
  }
  const used = details.reduce((sum, lines) => sum + lines.length, running.length);
  const hidden = Math.max(0, finished - (room - used));
  let skipped = 0;
  const lines = [heading];
  for (const step of started) {
    if (isFinished(step)) {
      if (skipped++ >= hidden) lines.push(stepLine(step, options));
    } else {
      const at = running.indexOf(step);
      if (at >= 0) lines.push(stepLine(step, options), ...(details[at] ?? []));
    }
  }
  return lines;
}
