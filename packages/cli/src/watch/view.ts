import type { WatchEvent } from '@strake/engine';
import { fit, harmless, oneLine } from '../progress/text.js';
import { causeText, eventText } from './lines.js';

const ERASE_LINE = '\r\u001b[K';
const DIM = '\u001b[2m';
const RED = '\u001b[31m';
const GREEN = '\u001b[32m';
const RESET = '\u001b[0m';
/** A line of a container that has no end yet is printed at so many characters. */
const LONGEST = 8192;

export interface ViewOptions {
  /** Keep a line with the state below everything; colors. */
  readonly terminal: boolean;
  readonly colors: boolean;
  readonly columns: () => number;
  readonly debug: boolean;
  /** The time of day of milliseconds since 1970: `14:03:07`. */
  readonly clock: (time: number) => string;
}

/**
 * What a watch looks like: a line for each save, errors, the container's output behind `| `; on a terminal below it all one line
 * that tells the state. What was printed scrolls away as any other text, so it stays readable for hours.
 */
export class WatchView {
  readonly #options: ViewOptions;
  readonly #partial = { stdout: '', stderr: '' };
  readonly #decoders = { stdout: new TextDecoder(), stderr: new TextDecoder() };
  readonly #steps = new Map<string, string>();
  #state = 'starting';
  #failed = false;
  #begun: number | undefined;
  #step = '';
  #drawn = false;

  constructor(options: ViewOptions) {
    this.#options = options;
  }

  /** Text that EVENT adds. */
  event(event: WatchEvent): string {
    let text = this.#apply(event);
    if (event.type === 'output') text = this.#output(event.stream, event.data);
    else {
      const said = eventText(event, this.#options.debug);
      if (said !== undefined) text = this.#line(event, said);
    }
    return this.#withState(
      text,
      'time' in event ? event.time : event.event.type === 'step-started' ? event.event.time : 0,
    );
  }

  /** The line with the state, drawn anew; nothing where it need not be. */
  tick(now: number): string {
    return this.#options.terminal && this.#begun !== undefined ? ERASE_LINE + this.#stateLine(now) : '';
  }

  /** Takes the state's line away. */
  end(): string {
    const rest = (['stdout', 'stderr'] as const).map((stream) => this.#printed(this.#partial[stream])).join('');
    const text = (this.#drawn ? ERASE_LINE : '') + rest;
    this.#drawn = false;
    return text;
  }

  #apply(event: WatchEvent): string {
    switch (event.type) {
      case 'building':
        this.#begun = event.time;
        this.#step = '';
        this.#steps.clear();
        this.#state = event.paths.length === 0 ? 'building' : `building after ${causeText(event.paths)}`;
        break;
      case 'build-event':
        if (event.event.type === 'step') this.#steps.set(event.event.id, oneLine(event.event.name));
        if (event.event.type === 'step-started') this.#step = this.#steps.get(event.event.id) ?? '';
        break;
      case 'built':
      case 'failed':
        this.#begun = undefined;
        this.#failed = event.type === 'failed';
        this.#state = this.#failed ? 'the last build failed; watching' : 'watching';
        break;
      case 'watching':
        this.#state = `${this.#failed ? 'the last build failed; ' : ''}watching ${event.folders} folder${event.folders === 1 ? '' : 's'}`;
        break;
      default:
    }
    return '';
  }

  #line(event: WatchEvent, text: string): string {
    const { colors, clock } = this.#options;
    const bad = event.type === 'failed' || (event.type === 'container' && event.state === 'failed');
    const time = 'time' in event ? clock(event.time) : '';
    if (!colors) return `${time} ${text}\n`;
    return `${DIM}${time}${RESET} ${bad ? RED : event.type === 'built' ? GREEN : ''}${text.replace('\n', `${RESET}\n`)}${RESET}\n`;
  }

  #output(stream: 'stdout' | 'stderr', data: Uint8Array): string {
    const lines = (this.#partial[stream] + this.#decoders[stream].decode(data, { stream: true })).split('\n');
    let rest = lines.pop() ?? '';
    if (rest.length > LONGEST) {
      lines.push(rest);
      rest = '';
    }
    this.#partial[stream] = rest;
    return lines.map((line) => this.#printed(line, true)).join('');
  }

  #printed(line: string, whole = false): string {
    if (line === '' && !whole) return '';
    return `${this.#options.colors ? `${DIM}|${RESET}` : '|'} ${harmless(line)}\n`;
  }

  #withState(text: string, now: number): string {
    if (!this.#options.terminal) return text;
    if (text === '' && this.#begun === undefined && this.#drawn) return ERASE_LINE + this.#stateLine(now);
    const erase = this.#drawn ? ERASE_LINE : '';
    this.#drawn = true;
    return erase + text + this.#stateLine(now);
  }

  #stateLine(now: number): string {
    const { columns, colors } = this.#options;
    const running =
      this.#begun === undefined || now === 0 ? '' : ` ${(Math.max(0, now - this.#begun) / 1000).toFixed(1)} s`;
    const step = this.#begun === undefined || this.#step === '' ? '' : `: ${this.#step}`;
    const text = fit(`● ${this.#state}${step}${running}`, Math.max(10, columns() - 1));
    return colors ? `${DIM}${text}${RESET}` : text;
  }
}
