import { storeRoot } from '@strake/core';
import type { RegistryClient } from '@strake/registry';
import { openStore, type Store } from '@strake/store';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

import type { Agent } from './agent-client.js';
import type { AgentProcess } from './agent-process.js';
import type { EngineOptions } from './types.js';

/** What the builds of one engine share, each made when it is first needed. */
export interface Resources {
  readonly root: string;
  readonly store: () => Promise<Store>;
  readonly registry: () => Promise<RegistryClient>;
  readonly agent: () => Promise<Agent>;
  /** An agent of its own with this process's stdin, for `strake run -i`. */
  readonly interactiveAgent: () => Promise<Agent>;
  /** Begins to end the agent, where there is one. The next call of `agent` starts another, `close` waits for both. */
  readonly dismissAgent: () => void;
  /** Does WORK, which never fails, beside builds; nothing where the one before is not done yet. `close` has it end, and waits. */
  readonly background: (work: (signal: AbortSignal) => Promise<void>) => void;
  close(): Promise<void>;
}

/** Programs that run beside this process; undefined where the package that they belong to finds them itself. */
interface Programs {
  readonly agent: string;
  readonly worker: string | undefined;
  readonly nativeInit: string | undefined;
  readonly stepNetwork: string | undefined;
}

export function createResources(options: EngineOptions, env: NodeJS.ProcessEnv): Resources {
  const root = storeRoot(options.root, env);
  const programs = findPrograms();
  let store: Promise<Store> | undefined;
  let registry: Promise<RegistryClient> | undefined;
  const agents: Promise<Agent>[] = [];
  let shared: Promise<Agent> | undefined;
  const closing = new AbortController();
  let working: Promise<void> | undefined;
  const openOnce = (): Promise<Store> =>
    (store ??= openStore({ root, ...(programs.worker ? { workerUrl: pathToFileURL(programs.worker) } : {}) }));
  let { early } = options;
  const takeEarly = (): AgentProcess | undefined => {
    const taken = early;
    early = undefined;
    return taken;
  };
  const start = (inheritStdin: boolean): Promise<Agent> => {
    const made = (async () => {
      const { startBestAgent } = await import('./agent-start.js');
      const opened = await openOnce();
      // Others judge by this process's lease whether the agent, whose pid they cannot see, is alive.
      await opened.lease(['agent']);
      return startBestAgent(options, {
        program: programs.agent,
        inheritStdin,
        early: inheritStdin ? undefined : takeEarly(),
        setup: (how) => ({
          ...how,
          storeRoot: root,
          parent: opened.holder,
          snapshotter: options.snapshotter ?? 'auto',
          worker: programs.worker,
          nativeInit: programs.nativeInit,
          stepNetwork: programs.stepNetwork,
        }),
      });
    })();
    agents.push(made);
    return made;
  };
  return {
    root,
    store: openOnce,
    registry: () =>
      (registry ??= import('@strake/registry').then(({ createDockerCredentials, createRegistryClient }) =>
        createRegistryClient({
          credentials: createDockerCredentials({ env, home: env['HOME'] ?? homedir() }),
          insecure: options.insecureRegistries ?? [],
        }),
      )),
    agent: () => (shared ??= start(false)),
    interactiveAgent: () => start(true),
    dismissAgent: () => {
      // Whoever asked for it is told why there is none, and `close` waits for its end again.
      shared?.then((agent) => agent.close()).catch(() => undefined);
      shared = undefined;
    },
    background: (work) => {
      working ??= work(closing.signal).finally(() => (working = undefined));
    },
    close: async () => {
      closing.abort();
      await working;
      takeEarly()?.child.kill('SIGKILL'); // it has done nothing
      let guarded = false;
      for (const agent of await Promise.allSettled(agents)) {
        if (agent.status !== 'fulfilled') continue;
        await agent.value.close();
        guarded ||= agent.value.ids === 'all';
      }
      if (guarded && store) (await import('./device-guards.js')).removeDeviceGuards((await store).holder);
      if (registry) await (await registry).close();
      if (store) await (await store).close();
    },
  };
}

/** The bundled CLI keeps all programs beside its main file; built packages have them where their source says. */
function findPrograms(): Programs {
  const folder = dirname(fileURLToPath(import.meta.url));
  if (!isBundle()) {
    return { agent: join(folder, 'agent.js'), worker: undefined, nativeInit: undefined, stepNetwork: undefined };
  }
  return {
    agent: join(folder, '../bin/agent.js'), // which loads agent.cjs
    worker: join(folder, '../bin/worker.js'), // worker.cjs
    nativeInit: join(folder, 'native-init-main.js'),
    stepNetwork: join(folder, 'step-network-main.js'),
  };
}

function isBundle(): boolean {
  return typeof STRAKE_BUNDLE !== 'undefined' && STRAKE_BUNDLE;
}

/** Set by scripts/bundle.mjs. */
declare const STRAKE_BUNDLE: boolean | undefined;
