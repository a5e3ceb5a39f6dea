import { cancelled, onAbort, throwIfAborted } from '@strake/core';
import { spawn } from 'node:child_process';

import { builderError } from '../errors.js';
import { watchSilence } from './git-silence.js';

export interface GitRun {
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
  /** Texts that may not be shown: passwords, header values. */
  readonly secrets: readonly string[];
  /** Milliseconds for which nothing may come from a server. Default: a minute. */
  readonly silence?: number | undefined;
}

/** What git said when it failed. */
export class GitFailure extends Error {
  override readonly name = 'GitFailure';
  /** The end of standard error, free of secrets. */
  readonly said: string;

  constructor(said: string, exit: string) {
    super(said === '' ? exit : said);
    this.said = said;
  }
}

/** Standard output of git that is used is short; the rest of what comes out is a mistake or an attack. */
const OUTPUT_LIMIT = 8 << 20;
const ERROR_LIMIT = 16 << 10;
/** Milliseconds that git and its helpers have to end by themselves. */
const GRACE = 2_000;
/** As of HTTP. */
const SILENCE = 60_000;

/**
 * Runs the system's git without a shell, in a process group of its own: on abort its helpers (ssh, git-remote-http) end with it.
 * @returns standard output
 * @throws StrakeError `GIT_FAILED` where there is no git, `CANCELLED`; {@link GitFailure} where git fails
 */
export function runGit(
  args: readonly string[],
  { cwd, env, signal, secrets, silence = SILENCE }: GitRun,
): Promise<string> {
  throwIfAborted(signal);
  return new Promise((resolve, reject) => {
    const child = spawn('git', args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    const out: Buffer[] = [];
    let size = 0;
    let said = Buffer.alloc(0);
    let tooMuch = false;
    let silent = false;
    let killer: NodeJS.Timeout | undefined;
    const kill = (how: 'SIGTERM' | 'SIGKILL'): void => {
      if (child.pid === undefined) return;
      try {
        process.kill(-child.pid, how);
      } catch {
        child.kill(how);
      }
    };
    const stop = (): void => {
      kill('SIGTERM');
      killer ??= setTimeout(() => kill('SIGKILL'), GRACE);
    };
    const off = onAbort(signal, stop);
    const unwatch = watchSilence(child.pid ?? 0, silence, () => {
      silent = true;
      stop();
    });
    child.stdout.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size <= OUTPUT_LIMIT) return void out.push(chunk);
      tooMuch = true;
      stop();
    });
    child.stderr.on('data', (chunk: Buffer) => {
      said = Buffer.concat([said, chunk]).subarray(-ERROR_LIMIT);
    });
    const settle = (): void => {
      off();
      unwatch();
      clearTimeout(killer);
    };
    child.on('error', (error: NodeJS.ErrnoException) => {
      settle();
      reject(
        builderError(
          'GIT_FAILED',
          error.code === 'ENOENT' ? 'git is not installed' : `git cannot be started: ${error.message}`,
          {
            hint: 'Install git (apt-get install git, apk add git, dnf install git): repositories are fetched with it.',
            cause: error,
          },
        ),
      );
    });
    child.on('close', (code, by) => {
      settle();
      // Helpers may have outlived git itself.
      if (signal.aborted || tooMuch || silent) kill('SIGKILL');
      if (signal.aborted) reject(cancelled(signal));
      else if (tooMuch) reject(new GitFailure(`git printed more than ${OUTPUT_LIMIT} bytes`, ''));
      else if (silent) reject(new GitFailure(`nothing came from the server for ${silence / 1000} s`, ''));
      else if (code === 0) resolve(Buffer.concat(out).toString('utf8'));
      else
        reject(
          new GitFailure(presentable(said.toString('utf8'), secrets), `git ended with ${by ?? `exit code ${code}`}`),
        );
    });
  });
}

/** Text of git or a server fit for a message: no credentials, no control characters, the last lines only. */
function presentable(text: string, secrets: readonly string[]): string {
  let clean = text;
  for (const secret of secrets) if (secret.length >= 3) clean = clean.replaceAll(secret, '***');
  return clean
    .replace(/\b([a-z][a-z0-9+.-]*:\/\/)[^\s/@'"]{1,512}@/gi, '$1***@')
    .split(/[\r\n]+/)
    .map((line) => line.replace(/\p{Cc}+/gu, ' ').trim())
    .filter((line) => line !== '' && !/^(?:hint|warning):/.test(line))
    .slice(-4)
    .join('; ')
    .slice(-1000);
}
