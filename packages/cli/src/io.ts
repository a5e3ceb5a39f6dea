import type { Engine, EngineOptions } from '@strake/engine';

/** Where text and bytes go: process.stdout, process.stderr, or a collector of a test. */
export interface Output {
  write(data: string | Uint8Array): void;
  readonly isTerminal: boolean;
  /** Columns and rows of the terminal; 80 and 24 where there is none. */
  size(): { readonly columns: number; readonly rows: number };
}

/** Keeps credentials for registries. */
export interface Authentication {
  /** Checks credentials at the registry (a host; Docker Hub is `docker.io`) and stores them. */
  login(options: {
    readonly registry: string;
    readonly username: string;
    readonly password: string;
    readonly insecureRegistries?: readonly string[] | undefined;
    readonly signal?: AbortSignal | undefined;
  }): Promise<unknown>;
  logout(options: { readonly registry: string; readonly signal?: AbortSignal | undefined }): Promise<unknown>;
}

/** What a command knows of the process it runs in. Nothing else of it is used. */
export interface Io {
  readonly stdin: () => NodeJS.ReadableStream & { readonly isTTY?: boolean };
  readonly stdout: Output;
  readonly stderr: Output;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  /** Aborts on SIGINT and SIGTERM. */
  readonly signal: AbortSignal;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Loads the engine: the heavy part, so only when a command needs it. */
  readonly createEngine: (options: EngineOptions) => Promise<Engine>;
  readonly authentication: () => Promise<Authentication>;
  /** What to write to standard error where the process is ended by force; returns the function that takes it back. */
  readonly restoreAtExit: (text: string) => () => void;
}

/** A line of text on an output. */
export function writeLine(output: Output, text: string): void {
  output.write(`${text}\n`);
}
