import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { closeSync, openSync, mkdtempSync, rmSync, writeFileSync, mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { ROOT, STRAKE } from './repository.js';

export interface Outcome {
  /** The exit status; undefined where a signal ended the process. */
  readonly status: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
  /** Milliseconds. */
  readonly took: number;
}

export interface RunOptions {
  readonly input?: string | Uint8Array;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** A file that takes standard output, byte by byte. */
  readonly stdoutFile?: string;
  /** Called with what the command has printed so far; a signal that is returned is sent. */
  readonly onOutput?: (text: string) => NodeJS.Signals | undefined;
  /** Called once the process is there; `kill` is SIGKILL. */
  readonly onStart?: (child: { kill(signal?: NodeJS.Signals): void }) => void;
}

const STACK_TRACE = /^\s+at .*(?:\(|:\d+:\d+)|node:internal|UnhandledPromise|triggerUncaughtException/m;

/** A scratch folder with a store of its own, in which the command is run as a user would run it. */
export class Workshop {
  readonly folder: string;
  readonly store: string;
  readonly context: string;
  readonly busybox: string;

  /** PARENT: where the scratch folder is made. */
  constructor(parent: string = tmpdir()) {
    this.folder = mkdtempSync(path.join(parent, 'strake-e2e-'));
    [this.store, this.context, this.busybox] = ['store', 'context', 'busybox'].map((name) =>
      path.join(this.folder, name),
    ) as [string, string, string];
    mkdirSync(this.context);
    execFileSync(process.execPath, [path.join(ROOT, 'scripts/busybox-layout.mjs'), this.busybox]);
  }

  /** Writes a file of the context. */
  write(name: string, text: string): void {
    const file = path.join(this.context, name);
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, text);
  }

  /** Runs `strake ARGV...`; no outcome may show a stack trace. */
  async strake(argv: readonly string[], options: RunOptions = {}): Promise<Outcome> {
    const started = Date.now();
    const output = options.stdoutFile === undefined ? undefined : openSync(options.stdoutFile, 'w');
    const child = spawn(STRAKE, argv, {
      cwd: options.cwd ?? this.folder,
      env: {
        PATH: process.env['PATH'] ?? '',
        HOME: path.join(this.folder, 'home'),
        STRAKE_ROOT: this.store,
        ...options.env,
      },
      stdio: ['pipe', output ?? 'pipe', 'pipe'],
    });
    if (output !== undefined) closeSync(output);
    options.onStart?.({ kill: (signal = 'SIGKILL') => void child.kill(signal) });
    let stdout = '';
    let stderr = '';
    const heard = (): void => {
      const signal = options.onOutput?.(stdout + stderr);
      if (signal) child.kill(signal);
    };
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
      heard();
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
      heard();
    });
    child.stdin?.on('error', () => undefined); // it may end without having read its input
    child.stdin?.end(options.input);
    const status = await new Promise<number | undefined>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code) => resolve(code ?? undefined));
    });
    assert.doesNotMatch(stdout + stderr, STACK_TRACE);
    return { status, stdout, stderr, took: Date.now() - started };
  }

  /** Builds a Dockerfile of these lines; `busybox` is the local one. */
  async build(lines: readonly string[], argv: readonly string[] = [], options: RunOptions = {}): Promise<Outcome> {
    const dockerfile = path.join(this.folder, 'Dockerfile');
    writeFileSync(dockerfile, lines.map((line) => `${line}\n`).join(''));
    const base = ['--build-context', `busybox=oci-layout://${this.busybox}`];
    return this.strake(['build', '-f', dockerfile, ...base, ...argv, this.context], options);
  }

  close(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
