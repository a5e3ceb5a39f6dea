import type { Arguments, Flag } from './args/parse.js';
import type { Io } from './io.js';

/** One command of `strake`. */
export interface Command {
  /** What follows `strake` in the usage line: `push [OPTIONS] NAME`. */
  readonly usage: string;
  /** A sentence or two for its help. */
  readonly about: string;
  readonly flags: readonly Flag[];
  /** Whether flags end at the first positional argument: the rest belongs to somebody else. */
  readonly stopAtPositional?: boolean;
  /**
   * Does it; the exit status.
   * @throws StrakeError
   */
  run(args: Arguments, io: Io): Promise<number>;
}

/** A command of the table: loaded only when it is called. */
export interface CommandEntry {
  readonly summary: string;
  readonly load: () => Promise<Command>;
}
