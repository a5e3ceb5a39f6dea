import { StringDecoder } from 'node:string_decoder';
import type { ProgressEvent } from '@strake/core';
import type { Renderer } from './display.js';
import { bytes, harmless, oneLine, seconds } from './text.js';

/** How long a step that talks keeps the others waiting, and how often a transfer is reported: milliseconds. */
const FOCUS = 1000;
const TRANSFER_INTERVAL = 5000;
/** Characters of a line without an end that are kept back. */
const LONGEST_PARTIAL = 65536;
/** So many lines below, a step's output still counts as just shown. */
const NEAR = 8;

interface PartialLine {
  readonly decoder: StringDecoder;
  text: string;
}

interface PlainStep {
  /** Given when it first speaks, 0 before. */
  number: number;
  name: string;
  startedAt: number;
  ended: boolean;
  /** Unfinished last lines of stdout and stderr. */
  readonly partial: Map<string, PartialLine>;
  /** Text held back while another step talks. */
  held: string;
  /** Lines that had been printed of all steps when its last output was. */
  outputAt: number | undefined;
  /** When each transfer was first and last reported. */
  readonly transfers: Map<string, { readonly since: number; reported: number }>;
}

type Event<T extends ProgressEvent['type']> = Extract<ProgressEvent, { type: T }>;

/**
 * Lines as BuildKit's plain progress prints them: `#5 [build 2/5] RUN make`, `#5 0.312 output`, `#5 CACHED`, `#5 DONE 0.4s`,
 * `#5 ERROR: ...`. The lines of a step stay together as long as that keeps no other waiting for more than a second; output is
 * complete and in order within its step. With `neutralise` (for terminals) control characters are taken out of it.
 */
export class PlainRenderer implements Renderer {
  readonly interval = 500;
  readonly restore = '';
  readonly #neutralise: boolean;
  readonly #steps = new Map<string, PlainStep>();
  readonly #waiting = new Set<PlainStep>();
  #current: PlainStep | undefined;
  #currentSince = 0;
  #numbers = 0;
  #lines = 0;

  constructor(options: { readonly neutralise?: boolean } = {}) {
    this.#neutralise = options.neutralise ?? false;
  }

  event(event: ProgressEvent, now: number): string {
    switch (event.type) {
      case 'note':
        return this.#count(`note: ${harmless(event.message)}\n`);
      case 'warning':
        return '';
      case 'step':
        this.#step(event.id, 0).name = oneLine(event.name);
        return '';
      case 'step-started': {
        const step = this.#step(event.id, event.time);
        step.startedAt = event.time;
        return this.#say(step, '', now);
      }
      case 'step-cached':
        return this.#end(this.#step(event.id, event.time), 'CACHED', now);
      case 'step-output':
        return this.#output(event, now);
      case 'progress':
        return this.#transfer(event, now);
      case 'step-finished':
        return this.#finished(event, now);
    }
  }

  tick(now: number): string {
    return now - this.#currentSince >= FOCUS ? this.#release(now) : '';
  }

  end(now: number): string {
    let text = this.#release(now);
    for (const step of this.#steps.values()) {
      const rest = this.#partials(step, now);
      if (rest) text += this.#focus(step, now) + this.#count(rest);
    }
    return text + (this.#numbers > 0 ? '\n' : '');
  }

  showsTail(name: string): boolean {
    for (const step of this.#steps.values()) {
      if (step.name === oneLine(name)) return step.outputAt !== undefined && this.#lines - step.outputAt <= NEAR;
    }
    return false;
  }

  #step(id: string, time: number): PlainStep {
    let step = this.#steps.get(id);
    if (!step) {
      step = {
        number: 0,
        name: oneLine(id),
        startedAt: time,
        ended: false,
        partial: new Map(),
        held: '',
        outputAt: undefined,
        transfers: new Map(),
      };
      this.#steps.set(id, step);
    }
    return step;
  }

  #output({ id, time, stream, data }: Event<'step-output'>, now: number): string {
    const step = this.#step(id, time);
    let partial = step.partial.get(stream);
    if (!partial) step.partial.set(stream, (partial = { decoder: new StringDecoder('utf8'), text: '' }));
    const lines = (partial.text + partial.decoder.write(data)).split('\n');
    partial.text = lines.pop() ?? '';
    if (partial.text.length > LONGEST_PARTIAL) {
      lines.push(partial.text);
      partial.text = '';
    }
    return lines.length === 0 ? '' : this.#say(step, this.#outputLines(step, lines, time), now);
  }

  #outputLines(step: PlainStep, lines: readonly string[], time: number): string {
    const prefix = `#${this.#numberOf(step)} ${seconds(time - step.startedAt, 3).slice(0, -1)} `;
    step.outputAt = this.#lines + lines.length;
    return lines.map((line) => `${prefix}${this.#neutralise ? harmless(line) : line}\n`).join('');
  }

  #partials(step: PlainStep, time: number): string {
    let text = '';
    for (const partial of step.partial.values()) {
      const rest = partial.text + partial.decoder.end();
      partial.text = '';
      if (rest) text += this.#outputLines(step, [rest], time);
    }
    return text;
  }

  #transfer({ id, time, action, subject, current, total, done }: Event<'progress'>, now: number): string {
    const step = this.#step(id, time);
    let transfer = step.transfers.get(subject);
    if (!transfer) step.transfers.set(subject, (transfer = { since: time, reported: time }));
    if (!done && time - transfer.reported < TRANSFER_INTERVAL) return '';
    transfer.reported = time;
    const size = total === undefined || total === current ? bytes(current) : `${bytes(current)} / ${bytes(total)}`;
    const what = harmless(`${action} ${subject}`);
    const end = done ? ' done' : '';
    return this.#say(step, `#${this.#numberOf(step)} ${what} ${size} ${seconds(time - transfer.since)}${end}\n`, now);
  }

  #finished({ id, time, error }: Event<'step-finished'>, now: number): string {
    const step = this.#step(id, time);
    if (step.ended && error === undefined) return '';
    const rest = this.#partials(step, time);
    let verdict = `DONE ${seconds(time - step.startedAt)}`;
    if (error !== undefined)
      verdict = /^cancell?ed\b/.test(error) ? 'CANCELED' : `ERROR: ${harmless(error.split('\n', 1)[0] ?? '')}`;
    return this.#end(step, verdict, now, rest);
  }

  #end(step: PlainStep, verdict: string, now: number, before = ''): string {
    if (step.ended && verdict === 'CACHED') return '';
    step.ended = true;
    return this.#say(step, `${before}#${this.#numberOf(step)} ${verdict}\n`, now);
  }

  #numberOf(step: PlainStep): number {
    return (step.number ||= ++this.#numbers);
  }

  #say(step: PlainStep, text: string, now: number): string {
    const current = this.#current;
    const free = !current || current === step || current.ended || now - this.#currentSince >= FOCUS;
    if (!free) {
      step.held += text;
      this.#waiting.add(step);
      return '';
    }
    const held = step.held;
    step.held = '';
    this.#waiting.delete(step);
    const out = this.#focus(step, now) + this.#count(held + text);
    return step.ended ? out + this.#release(now) : out;
  }

  #release(now: number): string {
    let out = '';
    for (const step of this.#waiting) {
      const held = step.held;
      step.held = '';
      out += this.#focus(step, now) + this.#count(held);
    }
    this.#waiting.clear();
    return out;
  }

  #focus(step: PlainStep, now: number): string {
    const before = this.#current;
    if (before === step) return '';
    this.#current = step;
    this.#currentSince = now;
    const leaving = before ? `${before.ended ? '' : `#${this.#numberOf(before)} ...\n`}\n` : '';
    return this.#count(`${leaving}#${this.#numberOf(step)} ${step.name}\n`);
  }

  #count(text: string): string {
    for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) this.#lines++;
    return text;
  }
}
