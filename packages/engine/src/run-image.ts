import { canonicalName, isDigest, parseReference, StrakeError } from '@strake/core';

import { findImage } from './image-names.js';
import { loadStored, pullImage } from './images.js';
import type { Resources } from './resources.js';
import type { RunImageOptions } from './types.js';

/** Runs an image in an ephemeral container; what it writes is thrown away. Pulls the image where the store lacks it. */
export async function runImage(resources: Resources, options: RunImageOptions): Promise<number> {
  const { signal, onOutput, onEvent } = options;
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
  return agent.runAndForget(
    {
      parent: image.layers.map(({ diffId }) => diffId),
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
      },
    },
    { signal, onOutput },
  );
}

function mergeEnvironment(base: readonly string[], added: readonly string[]): string[] {
  const values = new Map<string, string>();
  for (const entry of [...base, ...added]) values.set(entry.split('=', 1)[0] ?? '', entry);
  if (![...values.keys()].includes('PATH')) {
    values.set('PATH', 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin');
  }
  return [...values.values()];
}
