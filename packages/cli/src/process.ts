import { writeSync } from 'node:fs';
import { constants, homedir } from 'node:os';
import { StrakeError } from '@strake/core';
import type { AgentProcess } from '@strake/engine';
import { fileUnreadable } from './errors.js';
import type { Io } from './io.js';
import { main } from './main.js';
import { output } from './output.js';

/** @throws StrakeError `FILE_UNREADABLE` where the folder was removed, or may not be looked at */
function currentFolder(): string {
  try {
    return process.cwd();
  } catch (error) {
    throw fileUnreadable('the folder that this command was started in', error);
  }
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
/**
 * Runs the command line of this process and ends it. The first SIGINT, SIGTERM or SIGHUP aborts what is under way and waits
 * for it to clean up; a second one ends the process at once. Both end with 128 + the signal's number.
 * @param early the process of an agent that was started before
 */
export async function start(early?: AgentProcess): Promise<void> {
  const controller = new AbortController();
  const restore = new Set<string>();
  let interrupted: number | undefined;
  for (const signal of SIGNALS) {
    process.on(signal, () => {
      const status = 128 + constants.signals[signal];
      if (interrupted !== undefined) {
        for (const text of restore) writeSync(2, text);
        process.exit(status);
      }
      interrupted = status;
      controller.abort(new StrakeError({ code: 'CANCELLED', message: `cancelled by ${signal}` }));
    });
  }
  const io: Io = {
    stdin: () => process.stdin,
    stdout: output(1, () => process.stdout),
    stderr: output(2, () => process.stderr),
    env: process.env,
    home: process.env['HOME'] || homedir(),
    get cwd() {
      return currentFolder();
    },
    signal: controller.signal,
    now: Date.now,
    createEngine: async (options) => (await import('@strake/engine')).createEngine({ ...options, early }),
    authentication: () => import('@strake/engine'),
    watch: async () => (await import('@strake/engine')).watch,
    restoreAtExit: (text) => {
      restore.add(text);
      return () => void restore.delete(text);
    },
  };
  const status = await main(process.argv.slice(2), io);
  process.exit(interrupted ?? status);
}
