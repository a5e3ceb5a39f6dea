/** Saves as they come in, and the silence after them. */
export class Changes {
  #paths = new Set<string>();
  #overflow = false;
  #first: number | undefined;
  #last = 0;
  #arrived: (() => void) | undefined;
  readonly #now: () => number;

  /** NOW: milliseconds that only go forwards. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** Whether there is something that nobody has taken yet. */
  get pending(): boolean {
    return this.#overflow || this.#paths.size > 0;
  }

  /** The paths that nobody has taken yet. */
  get paths(): readonly string[] {
    return [...this.#paths];
  }

  add(path: string): void {
    this.#paths.add(path);
    this.#note();
  }

  /** Anything may have changed. */
  overflow(): void {
    this.#overflow = true;
    this.#note();
  }

  #note(): void {
    this.#last = this.#now();
    this.#first ??= this.#last;
    this.#arrived?.();
  }

  /** What has come in, and since when. */
  take(): { readonly paths: string[]; readonly overflow: boolean; readonly since: number } {
    const taken = { paths: [...this.#paths], overflow: this.#overflow, since: this.#first ?? this.#now() };
    this.#paths = new Set();
    this.#overflow = false;
    this.#first = undefined;
    return taken;
  }

  /** Resolves when something is pending, or SIGNAL aborts. */
  async arrival(signal: AbortSignal): Promise<void> {
    if (this.pending || signal.aborted) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        this.#arrived = undefined;
        signal.removeEventListener('abort', done);
        resolve();
      };
      this.#arrived = done;
      signal.addEventListener('abort', done);
    });
  }

  /** Resolves when nothing has come in for QUIET milliseconds, or SIGNAL aborts. */
  async silence(quiet: number, signal: AbortSignal): Promise<void> {
    for (;;) {
      const rest = this.#last + quiet - this.#now();
      if (rest <= 0 || signal.aborted) return;
      await pause(rest, signal);
    }
  }
}

/** Resolves after so many milliseconds, or when SIGNAL aborts. */
export function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    signal.addEventListener('abort', done);
    if (signal.aborted) done();
  });
}
