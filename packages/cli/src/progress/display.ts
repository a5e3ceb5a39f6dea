import type { ProgressEvent, ProgressSink } from '@strake/core';
import type { Io } from '../io.js';

/** Turns events into text. Pure: the text depends on the events and times given, on nothing else. */
export interface Renderer {
  /** What an event adds to the output. */
  event(event: ProgressEvent, now: number): string;
  /** What the passing of time adds. */
  tick(now: number): string;
  /** What is still to be said at the end. */
  end(now: number): string;
  /** Milliseconds between two calls of `tick`; 0 for none. */
  readonly interval: number;
  /** Puts a terminal in order again where the process ends in the middle. */
  readonly restore: string;
  /** Whether the last lines of output of the step of this name are before the user's eyes after `end`. */
  showsTail(stepName: string): boolean;
}

export type ProgressKind = 'plain' | 'tty' | 'quiet' | 'rawjson';

/** A display under way. */
export interface Display {
  readonly sink: ProgressSink;
  /** Prints what is left and stops. Further events are lost. */
  end(): void;
  readonly renderer: Renderer;
}

/** Loads the renderer of a kind. Each is a module of its own, so that a build loads only one. */
export async function createRenderer(kind: ProgressKind, io: Io): Promise<Renderer> {
  switch (kind) {
    case 'plain': {
      const { PlainRenderer } = await import('./plain.js');
      return new PlainRenderer({ neutralise: io.stderr.isTerminal });
    }
    case 'tty': {
      const { TtyRenderer } = await import('./tty.js');
      const { NO_COLOR, TERM } = io.env;
      return new TtyRenderer({
        size: () => io.stderr.size(),
        colors: !NO_COLOR && TERM !== 'dumb',
        startedAt: io.now(),
      });
    }
    case 'rawjson': {
      const { RawJsonRenderer } = await import('./rawjson.js');
      return new RawJsonRenderer();
    }
    case 'quiet': {
      const { QUIET } = await import('./quiet.js');
      return QUIET;
    }
  }
}

/** Lets RENDERER write to standard error: text is collected for a turn of the event loop, so that many events are one write. */
export function startDisplay(renderer: Renderer, io: Io): Display {
  let pending = '';
  let scheduled: NodeJS.Immediate | undefined;
  let ended = false;
  const flush = (): void => {
    scheduled = undefined;
    const text = pending;
    pending = '';
    if (text) io.stderr.write(text);
  };
  const put = (text: string): void => {
    if (!text) return;
    pending += text;
    scheduled ??= setImmediate(flush);
  };
  const timer = renderer.interval > 0 ? setInterval(() => put(renderer.tick(io.now())), renderer.interval) : undefined;
  timer?.unref();
  const restored = renderer.restore ? io.restoreAtExit(renderer.restore) : undefined;
  return {
    renderer,
    sink: (event) => {
      if (!ended) put(renderer.event(event, io.now()));
    },
    end: () => {
      if (ended) return;
      ended = true;
      clearInterval(timer);
      if (scheduled) clearImmediate(scheduled);
      pending += renderer.end(io.now());
      flush();
      restored?.();
    },
  };
}
