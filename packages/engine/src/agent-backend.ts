import {
  chooseExecutor,
  endRooted,
  inUserNamespace,
  processesRootedBelow,
  type ChosenExecutor,
  type ProbeOptions,
} from '@strake/runtime';
import { createSnapshotter, type Snapshotter, type Store } from '@strake/store';
import { join } from 'node:path';

import type { AgentSetup } from './agent-protocol.js';
import { chooseSnapshotter, type SnapshotterChoice } from './choose-snapshotter.js';
import { noteLoans } from './loans.js';

/** What an agent runs steps with. */
export interface Backend extends ChosenExecutor {
  readonly snapshotter: Snapshotter;
  readonly snapshotterChoice: SnapshotterChoice;
}

/** How the runtime's executors are made and tried in an agent. */
export function probeOptions(setup: AgentSetup, env: NodeJS.ProcessEnv): ProbeOptions & { readonly scratch: string } {
  const { storeRoot, parent, namespaces, nativeInit } = setup;
  return {
    // Named after the builder's lease: nobody takes it for a leftover while that lives.
    scratch: join(storeRoot, 'tmp', `${parent}.steps`),
    cacheFile: join(storeRoot, setup.ids === 'one' ? 'probes-one-id.json' : 'probes.json'),
    env,
    namespaces,
    noteLoan: noteLoans(),
    ...(nativeInit === undefined ? {} : { initCommand: [process.execPath, nativeInit] as const }),
  };
}

/** Ends what steps have left whose agent was killed: no kernel has ended it with that. */
async function endAbandoned(storeRoot: string, store: Store): Promise<void> {
  const rooted = processesRootedBelow(join(storeRoot, 'snapshots'));
  if (rooted.length === 0) return;
  const leftovers = new Set((await store.findLeftovers()).map(({ path }) => path));
  for (const one of rooted) if (leftovers.has(one.root) || one.root.endsWith(' (deleted)')) endRooted(one);
}

/** @throws StrakeError `RUNTIME_UNAVAILABLE`, `SNAPSHOTTER_UNAVAILABLE` */
export async function openBackend(setup: AgentSetup, store: Promise<Store>, probing: ProbeOptions): Promise<Backend> {
  const chosen = await chooseExecutor({ ...probing, isolation: setup.isolation });
  const { scratch, cacheFile } = probing;
  const choice = await chooseSnapshotter(setup.snapshotter, chosen.executor.name, scratch, cacheFile);
  if (!setup.namespaces) await endAbandoned(setup.storeRoot, await store);
  const snapshotter = createSnapshotter({
    store: await store,
    kind: choice.kind,
    userNamespace: inUserNamespace(),
  });
  return { ...chosen, snapshotter, snapshotterChoice: choice };
}
