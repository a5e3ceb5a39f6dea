import { canonicalName, isDigest, parseReference, StrakeError, type Digest } from '@strake/core';
import os from 'node:os';

import type { Agent } from './agent-client.js';
import type { AgentMethods } from './agent-protocol.js';
import { findImage } from './image-names.js';
import { loadStored, pullImage } from './images.js';
import type { Resources } from './resources.js';
import type { RunImageOptions } from './types.js';

/** Runs an image in an ephemeral container; what it writes is thrown away. Pulls the image where the store lacks it. */
export async function runImage(resources: Resources, options: RunImageOptions): Promise<number> {
  const { agent, run } = await preparedRun(resources, options);
  return agent.runAndForget(run, { signal: options.signal, onOutput: options.onOutput });
}

/** A container that only has to be started. */
export interface PreparedRun {
  readonly agent: Agent;
  readonly run: Omit<AgentMethods['run']['args'], 'keep'>;
  readonly image: { readonly chain: readonly Digest[]; readonly runtime: unknown };
}

/** Finds, or pulls, an image and makes everything ready to run it. @throws StrakeError `NO_COMMAND` */
export async function preparedRun(
  resources: Resources,
  options: RunImageOptions & { readonly grace?: number | undefined },
): Promise<PreparedRun> {
  const { signal, onEvent } = options;
  const store = await resources.store();
  let found;
  try {
    found = await findImage(store, options.image);
  } catch (error) {
    if (!(error instanceof StrakeError) || isDigest(options.image)) throw error;
    const pulled = await pullImage(resources, options.image, { signal, onEvent });
    found = { name: pulled.name, target: pulled.target };
  }
  const image = await loadStored(resources, found.target, found.name);
  for (const { diffId, origin } of image.layers) {
    await store.layers.import(diffId, origin.descriptor, (s) => origin.fetch(s), signal);
  }
  const config = image.config.config ?? {};
  const entrypoint = options.entrypoint === undefined ? (config.Entrypoint ?? []) : [options.entrypoint];
  const command = options.command?.length
    ? options.command
    : options.entrypoint === undefined
      ? (config.Cmd ?? [])
      : [];
  const args = [...entrypoint, ...command];
  if (args.length === 0) {
    throw new StrakeError({
      code: 'NO_COMMAND',
      message: `${canonicalName(parseReference(options.image))} has no command to run`,
      hint: `Name one: strake run ${options.image} COMMAND.`,
    });
  }
  const agent = options.interactive ? await resources.interactiveAgent() : await resources.agent();
  const chain = image.layers.map(({ diffId }) => diffId);
  return {
    agent,
    image: { chain, runtime: image.config.config },
    run: {
      parent: chain,
      spec: {
        args,
        env: mergeEnvironment(config.Env ?? [], options.env ?? []),
        cwd: options.workdir ?? (config.WorkingDir || '/'),
        user: options.user ?? config.User ?? '',
        hostname: options.hostname ?? 'strake',
        mounts: [],
        network: options.network ?? 'host',
        security: 'sandbox',
        extraHosts: [],
        ulimits: [],
        shmSize: 64 << 20,
        stdin: options.interactive ? 'inherit' : 'none',
        tty: options.tty,
        stop: { signal: stopSignal(config.StopSignal), grace: options.grace ?? GRACE },
      },
    },
  };
}

/** Docker's time between stop signal and SIGKILL. */
const GRACE = 10_000;

/** STOPSIGNAL as Node names it; SIGTERM where there is none, or none that this system has. */
function stopSignal(text: string | undefined): NodeJS.Signals {
  const { signals } = os.constants;
  const named = (Object.keys(signals) as NodeJS.Signals[]).find(
    (name) => name === `SIG${text?.toUpperCase().replace(/^SIG/, '')}` || String(signals[name]) === text,
  );
  return named ?? 'SIGTERM';
}

function mergeEnvironment(base: readonly string[], added: readonly string[]): string[] {
  const values = new Map<string, string>();
  for (const entry of [...base, ...added]) values.set(entry.split('=', 1)[0] ?? '', entry);
  if (![...values.keys()].includes('PATH')) {
    values.set('PATH', 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin');
  }
  return [...values.values()];
}
