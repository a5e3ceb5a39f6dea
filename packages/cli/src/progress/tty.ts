import type { ProgressEvent } from '@strake/core';
import type { Renderer } from './display.js';
import { renderFrame } from './frame.js';
import { ProgressTracker } from './state.js';
import { harmless, width } from './text.js';

const HIDE_CURSOR = '\u001b[?25l';
const SHOW_CURSOR = '\u001b[?25h';
const ERASE_LINE = '\u001b[K';
const ERASE_BELOW = '\u001b[J';
const COLOR = new RegExp(String.raw`\u001b\[\d+m`, 'g');

export interface TtyOptions {
  readonly size: () => { readonly columns: number; readonly rows: number };
  readonly colors: boolean;
  readonly startedAt: number;
}

/** The live display: a frame that is redrawn in place, ten times a second at most, and stays when the build has ended. */
export class TtyRenderer implements Renderer {
  readonly interval = 100;
  readonly restore: string = SHOW_CURSOR;
  readonly #tracker = new ProgressTracker();
  readonly #options: TtyOptions;
  /** The lines on the screen. */
  #drawn: readonly string[] = [];
  #hidden = false;
  #notes = 0;

  constructor(options: TtyOptions) {
    this.#options = options;
  }

  event(event: ProgressEvent): string {
    this.#tracker.apply(event);
    return '';
  }

  tick(now: number): string {
    if (this.#tracker.steps.size === 0) return this.#noteLines();
    const { columns, rows } = this.#options.size();
    const hide = this.#hidden ? '' : HIDE_CURSOR;
    this.#hidden = true;
    return hide + this.#draw(now, columns, rows, false);
  }

  end(now: number): string {
    const { columns, rows } = this.#options.size();
    const frame = this.#tracker.steps.size === 0 ? this.#noteLines() : this.#draw(now, columns, rows, true);
    return frame + (this.#hidden ? SHOW_CURSOR : '');
  }

  showsTail(): boolean {
    return false;
  }

  #noteLines(): string {
    const notes = this.#tracker.notes.slice(this.#notes);
    this.#notes = this.#tracker.notes.length;
    return notes.map((note) => `note: ${harmless(note)}${ERASE_LINE}\n`).join('');
  }

  #draw(now: number, columns: number, rows: number, final: boolean): string {
    const { startedAt, colors } = this.#options;
    // One row stays free: a newline in the last one would scroll.
    const lines = renderFrame(this.#tracker, { now, startedAt, columns, rows: rows - 1, colors, final });
    // A terminal that became narrower has wrapped the lines that were drawn.
    const above = this.#drawn.reduce(
      (sum, line) => sum + Math.max(1, Math.ceil(width(line.replace(COLOR, '')) / columns)),
      0,
    );
    this.#drawn = final ? [] : lines;
    const up = above > 0 ? `\u001b[${above}A\r` : '';
    return up + this.#noteLines() + lines.map((line) => `${line}${ERASE_LINE}\n`).join('') + ERASE_BELOW;
  }
}
