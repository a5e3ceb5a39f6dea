import { type ProgressSink, StrakeError } from '@strake/core';
import type { EgressRule, HostContact, Limits } from '@strake/runtime';
import type { Vertex } from '@strake/solver';

import { builderError } from '../errors.js';
import { EMPTY_CHAIN, parentOf, pendingLayer, withLayer, type ChainResult } from '../result.js';
import type { BuilderServices, StepSpec } from '../services.js';
import { OutputTail } from './output-tail.js';
import { mountInputs, mountKey, prepareMounts, type RunMountPlan } from './run-mounts.js';

export interface RunStep {
  readonly id: string;
  readonly name: string;
  readonly caching: 'use' | 'renew';
  readonly parent: Vertex<ChainResult>;
  readonly args: readonly string[];
  /** What decides the result: in the key. */
  readonly env: readonly string[];
  /** Proxy settings: given to the step, outside its key. */
  readonly proxyEnv: readonly string[];
  readonly cwd: string;
  readonly user: string;
  readonly hostname: string;
  /** `allowed`: only `allowHosts`, through a proxy. */
  readonly network: 'default' | 'host' | 'none' | 'private' | 'allowed';
  /** Outside its key. */
  readonly allowHosts?: readonly EgressRule[] | undefined;
  readonly security: 'sandbox' | 'insecure';
  readonly mounts: readonly RunMountPlan[];
  readonly extraHosts: readonly { readonly name: string; readonly address: string }[];
  readonly ulimits: readonly { readonly name: string; readonly soft: number; readonly hard: number }[];
  readonly shmSize: number | undefined;
  /** Outside its key. */
  readonly limits?: Limits | undefined;
  /** Milliseconds that it may run. */
  readonly timeout?: number | undefined;
  readonly platform: string;
}

/** Characters of a failed command that its error shows. */
const MAX_SHOWN = 8192;

/** Docker's size of /dev/shm. */
const DEFAULT_SHM = 64 << 20;

/**
 * RUN: an ephemeral container on the chain below it; what it wrote becomes a layer while later steps already run.
 *
 * In the key: command, environment, folder, user, network and security mode, limits of the sandbox, mounts (of bind mounts the
 * content, of secrets and ssh the id). Not in it: proxy variables, secret values, addresses of extra hosts, cache contents.
 */
export function runVertex(step: RunStep, services: BuilderServices): Vertex<ChainResult> {
  const { args, env, cwd, user, hostname, network, security, ulimits, shmSize, platform } = step;
  return {
    id: step.id,
    name: step.name,
    caching: step.caching,
    inputs: [{ vertex: step.parent }, ...mountInputs(step.mounts, services)],
    // Starts while the steps before this one run; a failure is told when it is needed.
    expected: () => void services.sandbox().catch(() => undefined),
    key: async (signal) => {
      const mounts = await Promise.all(step.mounts.map((mount) => mountKey(mount, signal)));
      return {
        operation: {
          kind: 'run',
          version: 4,
          args,
          env,
          cwd,
          user,
          hostname,
          network,
          security,
          ulimits,
          shmSize: shmSize ?? DEFAULT_SHM,
          platform,
          hosts: step.extraHosts.map((host) => host.name).sort(),
          mounts: mounts.map((mount) => mount.operation),
        },
        content: Object.fromEntries(mounts.flatMap(({ content }, i) => (content ? [[`mount ${i}`, content]] : []))),
      };
    },
    run: async ([parent = EMPTY_CHAIN, ...mounted], { signal }) => {
      const tail = new OutputTail();
      const onOutput = outputSink(services.emit, step.id, services.now, tail);
      const [sandbox, chain] = await Promise.all([services.sandbox(), parentOf(parent, signal)]);
      const prepared = await prepareMounts(step.mounts, mounted, services, step.caching === 'renew', signal);
      const limited = timeLimited(step.timeout, signal);
      try {
        const { exit, snapshot, hint, unlimited, contacts } = await sandbox.run(
          chain,
          {
            args,
            env: mergedEnvironment(env, step.proxyEnv, prepared.env),
            cwd,
            user,
            hostname,
            mounts: prepared.mounts,
            network: network === 'none' ? 'none' : 'host',
            ownNetwork: ownNetwork(step),
            security,
            extraHosts: step.extraHosts,
            ulimits,
            shmSize: shmSize ?? DEFAULT_SHM,
            limits: step.limits,
            stdin: 'none',
          },
          { signal: limited.signal, onOutput },
        );
        if (unlimited !== undefined && unlimited.length > 0) warnUnlimited(unlimited, services);
        if (contacts && contacts.length > 0) tellContacts(step, contacts, services);
        if (snapshot === undefined) throw stepFailed(args, exit.exitCode, tail, hint ?? refusedHint(contacts));
        return withLayer(parent, pendingLayer(snapshot, sandbox, signal));
      } catch (error) {
        throw error instanceof StrakeError ? error.with({ step: step.name, outputTail: tail.text() }) : error;
      } finally {
        limited.done();
        await prepared.release();
      }
    },
  };
}

/** What a step sees: proxies of the build stand over ENV and ARG, secrets over both. */
export function mergedEnvironment(
  env: readonly string[],
  proxies: readonly string[],
  secrets: readonly string[],
): string[] {
  const over = [...withoutNames(proxies, secrets), ...secrets];
  return [...withoutNames(env, over), ...over];
}

function ownNetwork({ network, allowHosts, proxyEnv }: RunStep): StepSpec['ownNetwork'] {
  if (network === 'private') return 'uplink';
  if (network !== 'allowed') return undefined;
  const upstream = proxyEnv.find((entry) => /^https?_proxy=http:/.test(entry))?.replace(/^[^=]*=/, '');
  return { rules: allowHosts ?? [], ...(upstream === undefined ? {} : { upstream }) };
}

const named = ({ host, port }: HostContact): string => `${host}:${port}`;

function tellContacts({ id, name }: RunStep, contacts: readonly HostContact[], services: BuilderServices): void {
  services.contacts.set(id, contacts);
  const allowed = contacts.filter((contact) => contact.allowed).map(named);
  const refused = contacts.filter((contact) => !contact.allowed).map(named);
  const parts = [
    ...(allowed.length > 0 ? [`asked for ${allowed.join(', ')}`] : []),
    ...(refused.length > 0 ? [`was refused ${refused.join(', ')}`] : []),
  ];
  services.emit({ type: 'note', message: `${name} ${parts.join('; ')}` });
}

function refusedHint(contacts: readonly HostContact[] | undefined): string | undefined {
  const refused = contacts?.find((contact) => !contact.allowed);
  if (!refused) return undefined;
  return `It was refused ${named(refused)}. If you trust that host: --allow-host ${refused.host}${[80, 443].includes(refused.port) ? '' : `:${refused.port}`}.`;
}

/** SIGNAL, aborted as well when MILLISECONDS are over: with the error `STEP_TIMEOUT`. */
function timeLimited(milliseconds: number | undefined, signal: AbortSignal): { signal: AbortSignal; done(): void } {
  if (milliseconds === undefined) return { signal, done: () => undefined };
  const controller = new AbortController();
  const timer = setTimeout(() => {
    controller.abort(
      builderError('STEP_TIMEOUT', `the step did not end within ${milliseconds / 1000} s`, {
        hint: 'It was stopped. --step-timeout sets how long a step may take.',
      }),
    );
  }, milliseconds);
  return { signal: AbortSignal.any([signal, controller.signal]), done: () => clearTimeout(timer) };
}

const LIMIT_FLAGS = { memoryBytes: '--memory', cpus: '--cpus', pids: '--pids-limit' } as const;

/** Once a build is enough. */
function warnUnlimited(unlimited: readonly (keyof Limits)[], { warned, emit }: BuilderServices): void {
  const flags = unlimited.map((limit) => LIMIT_FLAGS[limit]).join(' and ');
  const message = `${flags}: steps are not limited, because this machine lets strake make no cgroup for that`;
  if (!warned.has(message)) emit({ type: 'warning', message });
  warned.add(message);
}

/** Entries of ENV whose names none of OTHERS sets. */
function withoutNames(env: readonly string[], others: readonly string[]): string[] {
  const name = (entry: string): string => entry.split('=', 1)[0] ?? '';
  const taken = new Set(others.map(name));
  return env.filter((entry) => !taken.has(name(entry)));
}

function outputSink(
  emit: ProgressSink,
  id: string,
  now: () => number,
  tail: OutputTail,
): (stream: 'stdout' | 'stderr', data: Uint8Array) => void {
  return (stream, data) => {
    tail.add(data);
    emit({ type: 'step-output', id, stream, data, time: now() });
  };
}

function stepFailed(
  args: readonly string[],
  exitCode: number,
  tail: OutputTail,
  hint: string | undefined,
): StrakeError {
  // An image's SHELL and a Dockerfile's lines may be as long as they like.
  const command = args.join(' ');
  const shown = command.length > MAX_SHOWN ? `${command.slice(0, MAX_SHOWN)}…` : command;
  return builderError(
    'STEP_FAILED',
    `process ${JSON.stringify(shown)} did not complete successfully: exit code: ${exitCode}`,
    { exitCode, outputTail: tail.text(), hint },
  );
}
