import { StrakeError } from '@strake/core';
import { mkdtemp, rm } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { SshSource } from './types.js';

/** Opens sockets that pass a step on to an ssh agent: one a step, removed with it. The agent gives them to the step's user. */
export function createSshSockets(
  sources: readonly SshSource[],
  env: NodeJS.ProcessEnv,
  cleanups: { add(cleanup: () => Promise<void>): void },
): (id: string) => Promise<{ readonly path: string; close(): Promise<void> } | undefined> {
  const byId = new Map(sources.map((source) => [source.id, source] as const));
  return async (id) => {
    const source = byId.get(id);
    if (!source) return undefined;
    const agent = agentSocket(source, env);
    const folder = await mkdtemp(join(tmpdir(), 'strake-ssh-'));
    const path = join(folder, 'agent');
    const sockets = new Set<net.Socket>();
    const server = net.createServer((client) => {
      const upstream = net.connect(agent);
      for (const [socket, other] of [
        [client, upstream],
        [upstream, client],
      ] as const) {
        sockets.add(socket);
        socket.on('error', () => other.destroy());
        socket.on('close', () => sockets.delete(socket));
      }
      client.pipe(upstream).pipe(client);
    });
    let closed = false;
    const close = async (): Promise<void> => {
      if (closed) return;
      closed = true;
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
      await rm(folder, { recursive: true, force: true });
    };
    cleanups.add(close);
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(path, resolve);
    });
    return { path, close };
  };
}

/** The socket of a running agent. @throws StrakeError `SSH_INVALID` */
function agentSocket({ id, paths }: SshSource, env: NodeJS.ProcessEnv): string {
  const [path] = paths.length > 0 ? paths : [env['SSH_AUTH_SOCK']];
  if (path === undefined || path === '') {
    throw new StrakeError({
      code: 'SSH_INVALID',
      message: `--ssh ${id}: SSH_AUTH_SOCK is not set`,
      hint: 'Start an agent: eval "$(ssh-agent)" && ssh-add.',
    });
  }
  return path;
}
