import type { Engine, EngineOptions, WatchOptions } from '@strake/engine';

/** Where text and bytes go: process.stdout, process.stderr, or a collector of a test. */
export interface Output {
  write(data: string | Uint8Array): void;
  readonly isTerminal: boolean;
  /** Columns and rows of the terminal; 80 and 24 where there is none. */
  size(): { readonly columns: number; readonly rows: number };
}

interface LogoutOptions {
  /** A host or an address; nothing is Docker Hub. */
  readonly registry: string;
  readonly env: NodeJS.ProcessEnv;
  readonly home: string;
  readonly signal?: AbortSignal | undefined;
}

/** Keeps credentials for registries: the part of the engine's functions that is used here. */
export interface Authentication {
  /** Checks credentials at the registry and stores them. */
  readonly login: (
    options: LogoutOptions & {
      readonly username: string;
      readonly password: string;
      readonly client?: { readonly insecure?: readonly string[] | undefined } | undefined;
    },
  ) => Promise<{ readonly registry: string; readonly storedIn: string; readonly plain: boolean }>;
  /** Forgets them; whether there were any. */
  readonly logout: (options: LogoutOptions) => Promise<boolean>;
}

/** What a command knows of the process it runs in. Nothing else of it is used. */
export interface Io {
  readonly stdin: () => NodeJS.ReadableStream & { readonly isTTY?: boolean };
  readonly stdout: Output;
  readonly stderr: Output;
  readonly env: NodeJS.ProcessEnv;
  readonly home: string;
  readonly cwd: string;
  /** Aborts on SIGINT and SIGTERM. */
  readonly signal: AbortSignal;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Loads the engine: the heavy part, so only when a command needs it. */
  readonly createEngine: (options: EngineOptions) => Promise<Engine>;
  readonly authentication: () => Promise<Authentication>;
  /** The engine's `watch`. */
  readonly watch: () => Promise<(options: WatchOptions) => Promise<void>>;
  /** What to write to standard error where the process is ended by force; returns the function that takes it back. */
  readonly restoreAtExit: (text: string) => () => void;
}

/** A line of text on an output. */
export function writeLine(output: Output, text: string): void {
  output.write(`${text}\n`);
}
