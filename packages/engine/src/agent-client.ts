import { cancelled, onAbort, throwIfAborted } from '@strake/core';
import type { Sandbox } from '@strake/builder';
import type { RunOptions } from '@strake/runtime';
import type { ChildProcess } from 'node:child_process';

import type { AgentProcess } from './agent-process.js';
import type { AgentMethods, AgentSetup } from './agent-protocol.js';
import { agentEnded, agentUnavailable, oneIdHint } from './agent-errors.js';
import type { ExpectedEntry, TreeChange } from './container-changes.js';
import { revivedError, type RpcMessage } from './rpc.js';
import type { StepIds } from './user-ids.js';

/** A running agent: the one process of an engine that mounts, unpacks and runs steps. */
export interface Agent extends Sandbox {
  readonly ids: StepIds;
  /** Whether it has namespaces of its own. */
  readonly namespaces: boolean;
  /** Why a better way to start it did not work. */
  passedOver?: Error | undefined;
  /** Runs a container whose file system is thrown away afterwards. */
  runAndForget(args: Omit<AgentMethods['run']['args'], 'keep'>, options: RunOptions): Promise<number>;
  /**
   * Resolves when it runs.
   * @throws StrakeError `AGENT_UNAVAILABLE` where this machine does not let it
   */
  hello(): Promise<void>;
  /** The same without waiting: `started` with what to name it by. */
  start(
    args: Omit<AgentMethods['run']['args'], 'keep'>,
    options: RunOptions,
  ): { readonly started: Promise<number>; readonly exited: Promise<number> };
  /** Changes files of a container that was started; the paths that could not be reached. */
  change(run: number, changes: readonly TreeChange[]): Promise<readonly string[]>;
  compare(run: number, expected: readonly ExpectedEntry[]): Promise<readonly string[]>;
  removeTree(path: string): Promise<void>;
  probe(): Promise<AgentMethods['probe']['result']>;
  /** Ends it with everything that it started and mounted. */
  close(): Promise<void>;
}

interface Pending {
  resolve(value: unknown): void;
  reject(error: Error): void;
  readonly onOutput?: RunOptions['onOutput'] | undefined;
  readonly onStarted?: ((id: number) => void) | undefined;
}

/** The last part of what an agent prints before it dies, for the error. */
const STDERR_LIMIT = 4096;

/** Speaks to the agent in PROCESS and tells it what it is for. */
export function connectAgent(process: AgentProcess, setup: AgentSetup): Agent {
  return new AgentClient(process, setup);
}

class AgentClient implements Agent {
  readonly ids: StepIds;
  readonly namespaces: boolean;
  passedOver?: Error | undefined;
  readonly #child: ChildProcess;
  readonly #pending = new Map<number, Pending>();
  readonly #exited: Promise<void>;
  #stderr = '';
  #calls = 0;
  #greeted = false;
  #closing = false;
  #ended: Error | undefined;

  constructor({ child, ended: exited }: AgentProcess, setup: AgentSetup) {
    this.#child = child;
    this.ids = setup.ids;
    this.namespaces = setup.namespaces;
    child.on('message', (message: RpcMessage) => this.#receive(message));
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-STDERR_LIMIT);
    });
    this.#exited = new Promise((resolve) => {
      const ended = (why: string, cause?: unknown): void => {
        this.#ended ??= this.#greeted ? agentEnded(why, cause) : agentUnavailable(this.ids, why, cause);
        for (const pending of this.#pending.values()) pending.reject(this.#ended);
        this.#pending.clear();
        resolve();
      };
      void exited.then(({ code, signal, error }) => {
        if (error) return ended(error.message, error);
        setImmediate(() => {
          const said = this.#stderr.trim();
          ended(`${signal ?? `exit code ${code}`}${said === '' ? '' : `: ${said}`}`);
        });
      });
    });
    this.#send({ kind: 'setup', setup });
    // An idle agent does not keep the process alive.
    this.#settleReferences();
  }

  async run(
    parent: AgentMethods['run']['args']['parent'],
    spec: AgentMethods['run']['args']['spec'],
    options: RunOptions,
  ): ReturnType<Sandbox['run']> {
    const result = await this.#call('run', { parent, spec, keep: true }, options.signal, options.onOutput);
    return result.exit.exitCode !== 0 && this.ids === 'one' && result.hint === undefined
      ? { ...result, hint: oneIdHint() }
      : result;
  }

  async runAndForget(args: Omit<AgentMethods['run']['args'], 'keep'>, options: RunOptions): Promise<number> {
    const { exit } = await this.#call('run', { ...args, keep: false }, options.signal, options.onOutput);
    return exitCodeOf(exit);
  }

  start(
    args: Omit<AgentMethods['run']['args'], 'keep'>,
    options: RunOptions,
  ): { readonly started: Promise<number>; readonly exited: Promise<number> } {
    let tell: (id: number) => void = () => undefined;
    const started = new Promise<number>((resolve) => (tell = resolve));
    const run = this.#call('run', { ...args, keep: false }, options.signal, options.onOutput, {
      onStarted: (id) => tell(id),
      kill: options.kill,
    });
    return { started, exited: run.then(({ exit }) => exitCodeOf(exit)) };
  }

  change(run: number, changes: readonly TreeChange[]): Promise<readonly string[]> {
    return this.#call('change', { run, changes });
  }

  compare(run: number, expected: readonly ExpectedEntry[]): Promise<readonly string[]> {
    return this.#call('compare', { run, expected });
  }

  async commit(snapshot: string, signal?: AbortSignal): Promise<AgentMethods['commit']['result']> {
    return this.#call('commit', { snapshot }, signal);
  }

  async outline(
    snapshot: string,
    paths: AgentMethods['outline']['args']['paths'],
    signal?: AbortSignal,
  ): Promise<Uint8Array | undefined> {
    return this.#call('outline', { snapshot, paths }, signal);
  }

  async hello(): Promise<void> {
    await this.#call('hello', {});
    this.#greeted = true;
  }

  async removeTree(path: string): Promise<void> {
    await this.#call('removeTree', { path });
  }

  async probe(): Promise<AgentMethods['probe']['result']> {
    return this.#call('probe', {});
  }

  async close(): Promise<void> {
    if (this.#ended) return;
    this.#closing = true;
    this.#settleReferences();
    if (this.#child.connected) this.#child.disconnect();
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), 2000);
    await this.#exited;
    clearTimeout(timer);
  }

  async #call<M extends keyof AgentMethods>(
    method: M,
    args: AgentMethods[M]['args'],
    signal?: AbortSignal,
    onOutput?: RunOptions['onOutput'],
    more: { readonly onStarted?: (id: number) => void; readonly kill?: AbortSignal | undefined } = {},
  ): Promise<AgentMethods[M]['result']> {
    throwIfAborted(signal);
    if (this.#ended) throw this.#ended;
    const id = ++this.#calls;
    const off = onAbort(signal, () => this.#send({ kind: 'abort', id }));
    const offKill = onAbort(more.kill, () => this.#send({ kind: 'abort', id, force: true }));
    try {
      return (await new Promise<unknown>((resolve, reject) => {
        this.#pending.set(id, { resolve, reject, onOutput, onStarted: more.onStarted });
        this.#settleReferences();
        this.#send({ kind: 'call', id, method, args });
      })) as AgentMethods[M]['result'];
    } catch (error) {
      throw signal?.aborted ? cancelled(signal) : error;
    } finally {
      off();
      offKill();
      this.#settleReferences();
    }
  }

  #send(message: RpcMessage): void {
    if (this.#child.connected) this.#child.send(message);
  }

  #receive(message: RpcMessage): void {
    if (message.kind === 'setup') return;
    const pending = this.#pending.get(message.id);
    if (!pending) return;
    switch (message.kind) {
      case 'output':
        pending.onOutput?.(message.stream, message.data);
        return;
      case 'started':
        pending.onStarted?.(message.id);
        return;
      case 'done':
        this.#pending.delete(message.id);
        pending.resolve(message.value);
        return;
      case 'failed':
        this.#pending.delete(message.id);
        pending.reject(revivedError(message.error));
        return;
      default:
    }
  }

  #settleReferences(): void {
    const channel = this.#child.channel as { ref(): void; unref(): void } | null | undefined;
    const stderr = this.#child.stderr as (NodeJS.ReadableStream & { ref?(): void; unref?(): void }) | null;
    if (this.#pending.size > 0 || this.#closing) {
      this.#child.ref();
      channel?.ref();
      stderr?.ref?.();
    } else {
      this.#child.unref();
      channel?.unref();
      stderr?.unref?.();
    }
  }
}

/** As docker run and shells have it. */
function exitCodeOf({ exitCode, notStarted }: AgentMethods['run']['result']['exit']): number {
  return notStarted === undefined ? exitCode : notStarted === 'denied' ? 126 : 127;
}
