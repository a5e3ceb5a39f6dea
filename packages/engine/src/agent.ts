import { StrakeError } from '@strake/core';
import {
  chooseExecutor,
  createStepLimiter,
  openCgroups,
  probeRuntimes,
  requireOwner,
  resolveUser,
  type ContainerMount,
  type StepCgroups,
  type StepLimiter,
} from '@strake/runtime';
import { createSnapshotter, openStore, type Snapshotter, type Store } from '@strake/store';
import { chmod, chown } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

import type { AgentMethods, AgentSetup } from './agent-protocol.js';
import { prepareCacheFolder } from './cache-folder.js';
import { mountedFiles } from './mounted-files.js';
import { plainError, type RpcMessage } from './rpc.js';
import type { ParentChain, StepMount } from '@strake/builder';

/**
 * The agent: process 1 of its own process and mount namespace (see `startAgent`). It alone mounts, unpacks, runs steps and reads
 * what they wrote. It ends when its channel closes, and the kernel with it everything it started.
 */
class AgentServer {
  readonly #store: Promise<Store>;
  readonly #running = new Map<number, AbortController>();
  readonly #snapshotter: Promise<Snapshotter>;
  readonly #executor: ReturnType<typeof chooseExecutor>;
  readonly #probing: Parameters<typeof probeRuntimes>[0];
  readonly #limiter: StepLimiter;

  constructor(setup: AgentSetup) {
    const { storeRoot: root, parent, worker } = setup;
    this.#limiter = createStepLimiter({ folder: openCgroups(), name: parent });
    this.#store = openStore({ root, parent, ...(worker === undefined ? {} : { workerUrl: pathToFileURL(worker) }) });
    this.#snapshotter = this.#store.then((store) =>
      createSnapshotter({ store, kind: setup.snapshotter, userNamespace: setup.ids !== 'all' }),
    );
    this.#probing = {
      // Named after the builder's lease: nobody takes it for a leftover while that lives.
      scratch: join(root, 'tmp', `${parent}.steps`),
      cacheFile: join(root, setup.ids === 'one' ? 'probes-one-id.json' : 'probes.json'),
      env: process.env,
      ...(setup.nativeInit === undefined ? {} : { initCommand: [process.execPath, setup.nativeInit] as const }),
    };
    this.#executor = chooseExecutor({ ...this.#probing, isolation: executorKind(setup.isolation) });
    this.#snapshotter.catch(() => undefined);
    this.#executor.catch(() => undefined);
  }

  receive(message: RpcMessage): void {
    if (message.kind === 'abort') this.#running.get(message.id)?.abort(aborted());
    if (message.kind !== 'call') return;
    const { id, method, args } = message;
    const controller = new AbortController();
    this.#running.set(id, controller);
    this.#handle(id, method as keyof AgentMethods, args, controller.signal)
      .then(
        (value) => send({ kind: 'done', id, value }),
        (error: unknown) => send({ kind: 'failed', id, error: plainError(error) }),
      )
      .finally(() => this.#running.delete(id))
      .catch(() => undefined);
  }

  /** Removes what nobody needs any more. What still runs ends with this process. */
  async close(): Promise<void> {
    for (const running of this.#running.values()) running.abort(aborted());
    const [store, snapshotter] = await Promise.allSettled([this.#store, this.#snapshotter]);
    if (snapshotter.status === 'fulfilled') await snapshotter.value.close?.();
    if (store.status === 'fulfilled') await store.value.close();
  }

  async #handle(id: number, method: keyof AgentMethods, args: unknown, signal: AbortSignal): Promise<unknown> {
    if (method === 'hello') return undefined;
    const snapshotter = await this.#snapshotter;
    switch (method) {
      case 'run':
        return this.#run(id, args as AgentMethods['run']['args'], snapshotter, signal);
      case 'commit':
        return snapshotter.commit((args as AgentMethods['commit']['args']).snapshot, signal);
      case 'probe': {
        const probed = await probeRuntimes(this.#probing);
        const chosen = await this.#executor.then(
          ({ reason }) => reason,
          (error: unknown) => (error instanceof Error ? error.message : String(error)),
        );
        return { capabilities: probed.map(({ capability }) => capability), reason: chosen };
      }
      case 'removeTree':
        return snapshotter.removeTree((args as AgentMethods['removeTree']['args']).path);
    }
  }

  async #run(
    id: number,
    { parent, spec, keep }: AgentMethods['run']['args'],
    snapshotter: Snapshotter,
    signal: AbortSignal,
  ): Promise<AgentMethods['run']['result']> {
    const { executor } = await this.#executor;
    const snapshot = await snapshotter.prepare(parent, signal);
    let kept = false;
    let cgroups: StepCgroups | undefined;
    try {
      const { limits, ...container } = spec;
      if (limits) cgroups = this.#limiter.create(limits);
      const mounts: ContainerMount[] = [];
      for (const mount of spec.mounts) mounts.push(await this.#mount(mount, snapshotter, signal));
      const { uid, gid, additionalGids, home } = await resolveUser(mountedFiles(snapshot.mount), spec.user);
      const env = spec.env.some((entry) => entry.startsWith('HOME=')) ? spec.env : [...spec.env, `HOME=${home}`];
      const exit = await executor.run(
        {
          ...container,
          env,
          user: { uid, gid, additionalGids },
          root: snapshot.mount,
          mounts,
          launcher: cgroups && cgroups.launcher.length > 0 ? cgroups.launcher : undefined,
        },
        { signal, onOutput: (stream, data) => send({ kind: 'output', id, stream, data }) },
      );
      const unlimited = cgroups?.missing;
      if (exit.exitCode !== 0 || !keep) {
        return { exit, snapshot: undefined, unlimited, hint: limitHint(cgroups?.exceeded()) };
      }
      await snapshotter.freeze(snapshot.id);
      kept = true;
      return { exit, snapshot: snapshot.id, unlimited };
    } finally {
      cgroups?.remove();
      if (!kept) await snapshotter.discard(snapshot.id);
    }
  }

  async #mount(mount: StepMount, snapshotter: Snapshotter, signal: AbortSignal): Promise<ContainerMount> {
    switch (mount.kind) {
      case 'layers': {
        const { target, path, readOnly } = mount;
        return { kind: 'tree', target, path, readOnly, tree: await this.#tree(mount.chain, snapshotter, signal) };
      }
      case 'cache': {
        const { target, folder, readOnly } = mount;
        await prepareCacheFolder(mount, await this.#store, signal);
        return { kind: 'host', target, source: folder, readOnly };
      }
      case 'socket': {
        const { target, source, uid, gid, mode } = mount;
        requireOwner(mount, target);
        await chown(source, uid, gid);
        await chmod(source, mode);
        return { kind: 'host', target, source, readOnly: false };
      }
      default:
        return mount;
    }
  }

  #tree(chain: ParentChain, snapshotter: Snapshotter, signal: AbortSignal): ReturnType<Snapshotter['mountReadOnly']> {
    return snapshotter.mountReadOnly(chain, signal);
  }
}

/** @throws StrakeError where the backend is not there */
function executorKind(isolation: AgentSetup['isolation']): 'auto' | 'oci' | 'native' {
  if (isolation !== 'chroot') return isolation;
  throw new StrakeError({
    code: 'ISOLATION_UNAVAILABLE',
    message: 'the chroot isolation is not there yet',
    hint: 'Use --isolation oci or native.',
  });
}

/** What a step that failed is told of the limit that it met. */
function limitHint(met: ReturnType<StepCgroups['exceeded']>): string | undefined {
  if (met === 'memory') return 'The step needed more memory than --memory allows, and was stopped by the kernel.';
  return met === 'pids' ? 'The step wanted more processes than --pids-limit allows.' : undefined;
}

function aborted(): StrakeError {
  return new StrakeError({ code: 'CANCELLED', message: 'cancelled' });
}

function send(message: RpcMessage): void {
  if (process.connected) process.send?.(message);
}

const setup = JSON.parse(process.argv[2] ?? '{}') as AgentSetup;
// A step's result must not depend on the umask of the shell that strake was started from.
process.umask(0o022);
const server = new AgentServer(setup);
process.on('message', (message: RpcMessage) => server.receive(message));
process.on('disconnect', () => void server.close().finally(() => process.exit(0)));
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  // The builder decides when the agent ends: it closes the channel after aborting what runs.
  process.on(signal, () => undefined);
}
