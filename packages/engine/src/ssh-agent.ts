import { errnoOf, StrakeError } from '@strake/core';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Bytes of a program's messages that are looked at. */
const OUTPUT = 4096;

/**
 * An ssh-agent of the system with the keys of some files, for one build: steps can use the keys and never read them.
 * @throws StrakeError `SSH_INVALID` where there is no ssh-agent, or a key cannot be read without a passphrase
 */
export async function startKeyAgent(
  id: string,
  keys: readonly string[],
): Promise<{ readonly socket: string; readonly close: () => Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'strake-ssh-agent-'));
  const socket = join(folder, 'agent');
  let agent: ChildProcess | undefined;
  const close = async (): Promise<void> => {
    if (agent?.exitCode === null && agent.signalCode === null) {
      const ended = once(agent, 'exit');
      agent.kill('SIGTERM');
      await ended;
    }
    await rm(folder, { recursive: true, force: true });
  };
  try {
    agent = spawn('ssh-agent', ['-D', '-a', socket], {
      stdio: ['ignore', 'pipe', 'ignore'],
      env: programEnvironment(),
    });
    await started(agent, id);
    for (const key of keys) await addKey(id, key, socket);
    return { socket, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Waits for the agent's first line, which it prints when its socket is there. */
async function started(agent: ChildProcess, id: string): Promise<void> {
  const failed = (cause: unknown): StrakeError =>
    invalid(id, 'ssh-agent cannot be started', 'Install openssh-client, or name the socket of a running agent.', cause);
  await new Promise<void>((resolve, reject) => {
    agent.once('error', (error) => reject(failed(error)));
    agent.once('exit', () => reject(failed(undefined)));
    agent.stdout?.once('data', () => resolve());
  });
  agent.stdout?.resume();
}

async function addKey(id: string, key: string, socket: string): Promise<void> {
  const add = spawn('ssh-add', ['-q', '--', key], {
    stdio: ['ignore', 'ignore', 'pipe'],
    // No terminal and no window to ask on: a key with a passphrase fails at once.
    env: { ...programEnvironment(), SSH_AUTH_SOCK: socket, SSH_ASKPASS_REQUIRE: 'never' },
    detached: true,
  });
  let said = '';
  add.stderr.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(0, OUTPUT)));
  const status = await new Promise<number | string>((resolve) => {
    add.once('error', (error) => resolve(errnoOf(error) ?? 'error'));
    add.once('close', (code, signal) => resolve(code ?? signal ?? 'error'));
  });
  if (status !== 0) {
    const why =
      said
        .split('\n')
        .find((line) => line.trim() !== '' && !line.startsWith('@'))
        ?.trim() || `ssh-add ended with ${status}`;
    throw invalid(id, `cannot use the key "${key}": ${why}`, 'A key with a passphrase must be in a running agent.');
  }
}

function programEnvironment(): NodeJS.ProcessEnv {
  return { PATH: process.env['PATH'], HOME: process.env['HOME'] };
}

function invalid(id: string, message: string, hint: string, cause?: unknown): StrakeError {
  return new StrakeError({ code: 'SSH_INVALID', message: `--ssh ${id}: ${message}`, hint, cause });
}
