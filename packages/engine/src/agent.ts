import { StrakeError } from '@strake/core';
import {
  cgroupFiles,
  createStepLimiter,
  openCgroups,
  openDeviceGuard,
  openStepNetwork,
  Orphans,
  probePlace,
  probeRuntimes,
  requireOwner,
  resolveUser,
  type CgroupFiles,
  type ContainerMount,
  type DeviceGuard,
  type StepCgroups,
  type StepLimiter,
  type StepNetwork,
} from '@strake/runtime';
import { openStore, type Snapshotter, type Store } from '@strake/store';
import { IdleMemory, prepareCalls } from '@strake/sys';
import { chmod, chown } from 'node:fs/promises';
import { pathToFileURL } from 'node:url';

import { openBackend, probeOptions, type Backend } from './agent-backend.js';
import type { AgentMethods, AgentSetup } from './agent-protocol.js';
import { lockCaches, openCacheFolder } from './cache-folder.js';
import { mountedFiles } from './mounted-files.js';
import { plainError, type RpcMessage } from './rpc.js';
import type { ParentChain, StepMount, StepSpec } from '@strake/builder';

/** Bytes of layers' indexes that it keeps: it asks for one when a tree is made. */
const INDEX_MEMORY = 16 * 2 ** 20;

/**
 * The agent: process 1 of its own process and mount namespace (see `startAgent`). It alone mounts, unpacks, runs steps and reads
 * what they wrote. It ends when its channel closes, and the kernel with it everything it started. Where it has no namespaces, it
 * runs steps in a chroot and ends what they have started before it ends itself.
 */
class AgentServer {
  readonly #store: Promise<Store>;
  readonly #running = new Map<number, { readonly stop: AbortController; readonly kill: AbortController }>();
  /** Where the roots of running containers are, by their calls. */
  readonly #roots = new Map<number, string>();
  readonly #handling = new Set<Promise<void>>();
  readonly #backend: Promise<Backend>;
  readonly #probing: ReturnType<typeof probeOptions>;
  readonly #namespaces: boolean;
  readonly #orphans = new Orphans();
  readonly #cgroups: number | undefined = openCgroups();
  readonly #own: CgroupFiles | undefined;
  readonly #limiter: StepLimiter;
  readonly #guard: DeviceGuard;
  readonly #networkCommand: readonly [string, string] | undefined;
  readonly #memory = new IdleMemory();

  constructor(setup: AgentSetup) {
    const { storeRoot: root, parent, worker } = setup;
    this.#networkCommand = setup.stepNetwork === undefined ? undefined : [process.execPath, setup.stepNetwork];
    // As it is before the guard moves this process.
    this.#own = this.#cgroups === undefined ? undefined : cgroupFiles(this.#cgroups);
    this.#limiter = createStepLimiter({ folder: this.#cgroups, name: parent, proc: this.#own });
    this.#guard = openDeviceGuard({ folder: this.#cgroups, name: parent });
    this.#namespaces = setup.namespaces;
    const workerUrl = worker === undefined ? undefined : pathToFileURL(worker);
    this.#store = openStore({ root, parent, workerUrl, indexMemory: INDEX_MEMORY });
    this.#probing = probeOptions(setup, process.env);
    this.#backend = openBackend(setup, this.#store, this.#probing);
    // What is wrong with them is told to each call; neither is awaited before the first.
    this.#store.catch(() => undefined);
    this.#backend.catch(() => undefined);
    this.#guard.holds.catch(() => undefined);
  }

  receive(message: RpcMessage): void {
    if (message.kind === 'abort') {
      const running = this.#running.get(message.id);
      running?.stop.abort(aborted());
      if (message.force) running?.kill.abort(aborted());
    }
    if (message.kind !== 'call') return;
    const { id, method, args } = message;
    const controllers = { stop: new AbortController(), kill: new AbortController() };
    this.#running.set(id, controllers);
    this.#memory.busy();
    const { stop, kill } = controllers;
    const handling = this.#handle(id, method as keyof AgentMethods, args, stop.signal, kill.signal)
      .then(
        (value) => send({ kind: 'done', id, value }),
        (error: unknown) => send({ kind: 'failed', id, error: plainError(error) }),
      )
      .finally(() => {
        this.#running.delete(id);
        this.#handling.delete(handling);
        // In a chroot the executor finds what a step leaves behind.
        if (this.#namespaces) this.#orphans.look();
        this.#memory.idle();
      })
      .catch(() => undefined);
    this.#handling.add(handling);
  }

  /** Removes what nobody needs any more. What still runs ends with this process, or before. */
  async close(): Promise<void> {
    for (const { stop, kill } of this.#running.values()) {
      stop.abort(aborted());
      kill.abort(aborted());
    }
    if (!this.#namespaces) await Promise.all(this.#handling);
    const [store, backend] = await Promise.allSettled([this.#store, this.#backend]);
    if (backend.status === 'fulfilled') await backend.value.snapshotter.close?.();
    if (store.status === 'fulfilled') await store.value.close();
  }

  async #handle(
    id: number,
    method: keyof AgentMethods,
    args: unknown,
    signal: AbortSignal,
    kill: AbortSignal,
  ): Promise<unknown> {
    if (method === 'hello') return undefined;
    if (method === 'probe') return this.#probe();
    const { snapshotter } = await this.#backend;
    switch (method) {
      case 'run':
        return this.#run(id, args as AgentMethods['run']['args'], snapshotter, signal, kill);
      case 'change': {
        const { run, changes } = args as AgentMethods['change']['args'];
        const root = this.#roots.get(run);
        if (root === undefined) return changes.map((one) => (one.kind === 'remove' ? one.path : one.facts.path));
        const { changeTree } = await import('./container-changes.js');
        return changeTree(root, changes);
      }
      case 'compare': {
        const { run, expected } = args as AgentMethods['compare']['args'];
        const root = this.#roots.get(run);
        if (root === undefined) return expected.map(({ path }) => path);
        const { compareTree } = await import('./container-changes.js');
        return compareTree(root, expected);
      }
      case 'outline': {
        const { snapshot, paths } = args as AgentMethods['outline']['args'];
        return snapshotter.outline(snapshot, paths);
      }
      case 'commit':
        return snapshotter.commit((args as AgentMethods['commit']['args']).snapshot, signal);
      case 'removeTree':
        return snapshotter.removeTree((args as AgentMethods['removeTree']['args']).path);
    }
  }

  async #probe(): Promise<AgentMethods['probe']['result']> {
    const probed = await probeRuntimes(this.#probing);
    const devices = await this.#guard.holds;
    const place = {
      scratch: this.#probing.scratch,
      cgroups: this.#cgroups,
      proc: this.#own,
      namespaces: this.#namespaces,
      devices,
    };
    const capabilities = [...probed.map(({ capability }) => capability), ...probePlace(place)];
    try {
      const { reason, runtime, snapshotterChoice } = await this.#backend;
      return { capabilities, runtime, reason, snapshotter: snapshotterChoice };
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      return { capabilities, runtime: undefined, reason, snapshotter: undefined };
    }
  }

  async #run(
    id: number,
    { parent, spec, keep }: AgentMethods['run']['args'],
    snapshotter: Snapshotter,
    signal: AbortSignal,
    kill: AbortSignal,
  ): Promise<AgentMethods['run']['result']> {
    const { executor } = await this.#backend;
    const snapshot = await snapshotter.prepare(parent, signal);
    let kept = false;
    const releases: (() => Promise<void>)[] = [];
    let cgroups: StepCgroups | undefined;
    let insecure: ReturnType<DeviceGuard['leave']>;
    let network: StepNetwork | undefined;
    try {
      const { limits, ownNetwork, ...container } = spec;
      if (ownNetwork) {
        if (!this.#namespaces) throw networkNeedsNamespaces();
        network = await this.#network(ownNetwork, signal);
      }
      const guarded = await this.#guard.holds;
      if (guarded && spec.security === 'insecure') insecure = this.#guard.leave();
      if (limits)
        cgroups = this.#limiter.create(limits, insecure || !guarded ? undefined : (made) => this.#guard.extend(made));
      // Without mounts a cache folder is moved into the root: one step at a time has it.
      const lends = executor.name === 'chroot';
      if (lends) releases.push(await lockCaches(spec.mounts, await this.#store, signal));
      const mounts: ContainerMount[] = [];
      for (const mount of spec.mounts) mounts.push(await this.#mount(mount, snapshotter, lends, releases, signal));
      const { uid, gid, additionalGids, home } = await resolveUser(mountedFiles(snapshot.mount), spec.user);
      const given = withoutNames(spec.env, network?.env ?? []);
      const env = given.some((entry) => entry.startsWith('HOME=')) ? given : [...given, `HOME=${home}`];
      const launcher = [...(insecure?.launcher ?? []), ...(network?.launcher ?? []), ...(cgroups?.launcher ?? [])];
      const exit = await executor.run(
        {
          ...container,
          env: [...env, ...(network?.env ?? [])],
          nameservers: network?.nameservers,
          user: { uid, gid, additionalGids },
          root: snapshot.mount,
          mounts,
          launcher: launcher.length > 0 ? launcher : undefined,
          deviceNodes: guarded && spec.security === 'sandbox',
        },
        {
          signal,
          kill,
          onOutput: (stream, data) => send({ kind: 'output', id, stream, data }),
          onStarted: (root) => {
            this.#roots.set(id, root);
            send({ kind: 'started', id });
          },
        },
      );
      const unlimited = cgroups?.missing;
      const contacts = network?.contacts();
      if (exit.exitCode !== 0 || !keep) {
        return { exit, snapshot: undefined, unlimited, contacts, hint: limitHint(cgroups?.exceeded()) };
      }
      await snapshotter.freeze(snapshot.id);
      kept = true;
      return { exit, snapshot: snapshot.id, unlimited, contacts };
    } finally {
      cgroups?.remove();
      insecure?.remove();
      network?.close();
      this.#roots.delete(id);
      try {
        for (const release of releases.reverse()) await release();
      } finally {
        if (!kept) await snapshotter.discard(snapshot.id);
      }
    }
  }

  async #network(own: NonNullable<StepSpec['ownNetwork']>, signal: AbortSignal): Promise<StepNetwork> {
    const kind =
      own === 'uplink'
        ? own
        : { rules: own.rules, upstream: own.upstream === undefined ? undefined : new URL(own.upstream) };
    return openStepNetwork({ kind, command: this.#networkCommand, signal });
  }

  async #mount(
    mount: StepMount,
    snapshotter: Snapshotter,
    lends: boolean,
    releases: (() => Promise<void>)[],
    signal: AbortSignal,
  ): Promise<ContainerMount> {
    switch (mount.kind) {
      case 'layers': {
        const { target, path, readOnly } = mount;
        return { kind: 'tree', target, path, readOnly, tree: await this.#tree(mount.chain, snapshotter, signal) };
      }
      case 'cache': {
        const { target, folder, path, readOnly } = mount;
        const removeTree = (gone: string): Promise<void> => snapshotter.removeTree(gone);
        const held = await openCacheFolder(mount, await this.#store, removeTree, signal);
        releases.push(() => held.release());
        // What is held, whatever has the name by then; what is lent is locked, and moved by its name.
        const source = lends ? folder : `/proc/self/fd/${held.fd}`;
        return { kind: 'host', target, source, path, readOnly };
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

/** Entries of ENV whose names none of OTHERS sets. */
function withoutNames(env: readonly string[], others: readonly string[]): readonly string[] {
  const name = (entry: string): string => entry.split('=', 1)[0] ?? '';
  const taken = new Set(others.map(name));
  return env.filter((entry) => !taken.has(name(entry)));
}

/** What a step that failed is told of the limit that it met. */
function limitHint(met: ReturnType<StepCgroups['exceeded']>): string | undefined {
  if (met === 'memory') return 'The step needed more memory than --memory allows, and was stopped by the kernel.';
  return met === 'pids' ? 'The step wanted more processes than --pids-limit allows.' : undefined;
}

function networkNeedsNamespaces(): StrakeError {
  return new StrakeError({
    code: 'NETWORK_UNAVAILABLE',
    message: 'a step in a chroot has no network of its own: --network private and --allow-host are not possible here',
    hint: 'strake doctor tells what namespaces need on this machine.',
  });
}

function aborted(): StrakeError {
  return new StrakeError({ code: 'CANCELLED', message: 'cancelled' });
}

function send(message: RpcMessage): void {
  if (process.connected) process.send?.(message);
}

// The builder tells its user what is said here; a stack would be no help to him.
process.on('uncaughtException', (error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
});
// A step's result must not depend on the umask of the shell that strake was started from.
process.umask(0o022);
// It may have been started before it is needed.
setImmediate(prepareCalls);
let server: AgentServer | undefined;
process.on('message', (message: RpcMessage) => {
  if (message.kind === 'setup') server = new AgentServer(message.setup);
  else server?.receive(message);
});
process.on('disconnect', () => void Promise.resolve(server?.close()).finally(() => process.exit(0)));
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  // The builder decides when the agent ends: it closes the channel after aborting what runs.
  process.on(signal, () => undefined);
}
