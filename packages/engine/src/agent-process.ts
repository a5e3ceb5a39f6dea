import { spawn, type ChildProcess } from 'node:child_process';

import type { AgentSetup } from './agent-protocol.js';
import { findStepIds, type StepIds } from './user-ids.js';

/** What decides how an agent is started. */
export type AgentPlace = Pick<AgentSetup, 'ids' | 'namespaces' | 'isolation'>;

/** The process of an agent, which has loaded its program, or is about to, and waits to be told what it is for. */
export interface AgentProcess {
  readonly child: ChildProcess;
  readonly place: Pick<AgentPlace, 'ids' | 'namespaces'>;
  /** Resolves when it has ended, or could not be started. */
  readonly ended: Promise<{ readonly code?: number | null; readonly signal?: string | null; readonly error?: Error }>;
}

/**
 * Ways to start an agent, the best first; each is tried where the one before did not start. Root works as it is, everyone else in
 * a user namespace. Root without the right to make namespaces has a chroot.
 */
export function agentPlaces(isolation: AgentSetup['isolation'], ids: StepIds): readonly AgentPlace[] {
  if (ids === 'all') {
    const chroot: AgentPlace = { ids, namespaces: false, isolation: 'chroot' };
    if (isolation === 'chroot') return [chroot];
    const namespaces: AgentPlace = { ids, namespaces: true, isolation };
    return isolation === 'auto' ? [namespaces, chroot] : [namespaces];
  }
  const one: AgentPlace = { ids: 'one', namespaces: true, isolation };
  // newuidmap may be there and yet not allowed to work, as in most containers.
  return ids === 'range' ? [{ ...one, ids }, one] : [one];
}

/**
 * Starts the agent's process with PROGRAM: process 1 of its own process, mount and, for ordinary users, user namespace. When it dies,
 * or when this process dies, the kernel ends everything that it started and takes its mounts away. An agent without namespaces sees by its
 * channel that this process has died, and ends what it has started. It keeps this process from ending only while it is spoken to.
 * @param inheritStdin hands this process's stdin and terminal to the container, for `strake run`
 */
export function spawnAgent(program: string, place: AgentProcess['place'], inheritStdin = false): AgentProcess {
  const node = [process.execPath, '--enable-source-maps', program];
  const [file = '', ...args] = place.namespaces ? [...inNamespaces(place.ids), ...node] : node;
  const terminal = inheritStdin ? 'inherit' : 'ignore';
  const child = spawn(file, args, {
    stdio: [terminal, terminal, 'pipe', 'ipc'],
    serialization: 'advanced',
    env: agentEnvironment(),
    detached: !inheritStdin,
  });
  const ended: AgentProcess['ended'] = new Promise((resolve) => {
    child.on('error', (error) => {
      // A message to one that has just ended fails too: why it ended, its exit tells.
      if (child.pid === undefined) resolve({ error });
    });
    // Not 'close': Node 20 never tells it once the channel was disconnected from this side.
    child.on('exit', (code, signal) => resolve({ code, signal }));
  });
  return { child, place, ended };
}

/** An agent's process for a build that will probably need one, before anything else of Strake is loaded. */
export function spawnEarlyAgent(program: string): AgentProcess | undefined {
  const [place] = agentPlaces('auto', findStepIds().ids);
  if (!place) return undefined;
  const { child, ...rest } = spawnAgent(program, { ids: place.ids, namespaces: place.namespaces });
  child.unref();
  (child.channel as { unref(): void } | null | undefined)?.unref();
  (child.stderr as (NodeJS.ReadableStream & { unref?(): void }) | null)?.unref?.();
  return { child, ...rest };
}

/** The command that runs another one as process 1 of namespaces of its own. */
function inNamespaces(ids: StepIds): string[] {
  return [
    ...['setpriv', '--pdeathsig', 'KILL', 'unshare'],
    ...(ids === 'all' ? [] : ['--user', '--map-root-user']),
    ...(ids === 'range' ? ['--map-auto'] : []),
    ...['--mount', '--propagation', 'private', '--pid', '--fork', '--kill-child', '--mount-proc'],
  ];
}

/** The agent sees what it needs to find programs and nothing else of the user's environment. */
function agentEnvironment(): NodeJS.ProcessEnv {
  const names = ['PATH', 'HOME', 'TMPDIR', 'LANG', 'NODE_COMPILE_CACHE', 'XDG_RUNTIME_DIR', 'TERM'];
  return Object.fromEntries(
    names.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])),
  );
}
