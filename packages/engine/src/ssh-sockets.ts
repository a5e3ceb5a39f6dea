import { createSocketRelay, errnoOf, StrakeError } from '@strake/core';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { startKeyAgent } from './ssh-agent.js';
import type { SshSource } from './types.js';

/** Opens sockets that pass a step on to an ssh agent: one a step, removed with it. The agent gives them to the step's user. */
export function createSshSockets(
  sources: readonly SshSource[],
  env: NodeJS.ProcessEnv,
  cleanups: { add(cleanup: () => Promise<void>): void },
): (id: string) => Promise<{ readonly path: string; close(): Promise<void> } | undefined> {
  const byId = new Map(sources.map((source) => [source.id, source] as const));
  const agents = new Map<string, Promise<string>>();
  const agentOf = (source: SshSource): Promise<string> => {
    let agent = agents.get(source.id);
    if (!agent) {
      agent = agentSocket(source, env, cleanups);
      agents.set(source.id, agent);
    }
    return agent;
  };
  return async (id) => {
    const source = byId.get(id);
    if (!source) return undefined;
    const agent = await agentOf(source);
    const folder = await mkdtemp(join(tmpdir(), 'strake-ssh-'));
    const path = join(folder, 'agent');
    const relay = createSocketRelay(agent);
    let closed = false;
    const close = async (): Promise<void> => {
      if (closed) return;
      closed = true;
      await relay.close();
      await rm(folder, { recursive: true, force: true });
    };
    cleanups.add(close);
    await relay.listen(path);
    return { path, close };
  };
}

/** Checks, before anything is built, that agents and keys are there, also those that no step asks for. @throws StrakeError `SSH_INVALID` */
export async function checkSshSources(sources: readonly SshSource[], env: NodeJS.ProcessEnv): Promise<void> {
  for (const source of sources) await agentOrKeys(source, env);
}

/** The socket of a running agent, or of one made for this build where key files are given. @throws StrakeError `SSH_INVALID` */
async function agentSocket(
  source: SshSource,
  env: NodeJS.ProcessEnv,
  cleanups: { add(cleanup: () => Promise<void>): void },
): Promise<string> {
  const given = await agentOrKeys(source, env);
  if (typeof given === 'string') return given;
  const agent = await startKeyAgent(source.id, given);
  cleanups.add(agent.close);
  return agent.socket;
}

/** A running agent's socket, or files with keys. @throws StrakeError `SSH_INVALID` where they are not there */
async function agentOrKeys({ id, paths }: SshSource, env: NodeJS.ProcessEnv): Promise<string | readonly string[]> {
  const given = paths.length > 0 ? paths : [env['SSH_AUTH_SOCK'] ?? ''];
  const [first = ''] = given;
  if (first === '') {
    throw new StrakeError({
      code: 'SSH_INVALID',
      message: `--ssh ${id}: SSH_AUTH_SOCK is not set`,
      hint: `Start an agent: eval "$(ssh-agent)" && ssh-add. Or name a key: --ssh ${id}=KEYFILE.`,
    });
  }
  for (const path of given) {
    const facts = await stat(path).catch((error: unknown) => errnoOf(error) ?? 'error');
    if (typeof facts !== 'string' && facts.isSocket() && given.length === 1) return first;
    if (typeof facts !== 'string' && facts.isFile()) continue;
    throw new StrakeError({
      code: 'SSH_INVALID',
      message: `--ssh ${id}: "${path}" ${typeof facts === 'string' ? `cannot be read: ${facts}` : 'is no key file'}`,
      hint: 'Name files with keys, or the socket of a running agent.',
    });
  }
  return given;
}
