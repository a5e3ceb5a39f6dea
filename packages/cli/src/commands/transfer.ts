import type { Descriptor, ProgressSink } from '@strake/core';
import type { Engine } from '@strake/engine';
import { ENGINE_FLAGS } from '../args/engine-flags.js';
import type { Arguments, Flag } from '../args/parse.js';
import { positionals } from '../args/positionals.js';
import type { Command } from '../command.js';
import { writeLine, type Io } from '../io.js';
import { familiar } from '../print/names.js';
import { progressKind, PROGRESS_FLAGS } from '../progress/choose.js';
import { createRenderer, startDisplay } from '../progress/display.js';
import { withEngine } from '../with-engine.js';

const FLAGS: readonly Flag[] = [...PROGRESS_FLAGS, ...ENGINE_FLAGS];

interface Transferred {
  readonly name: string;
  readonly target: Descriptor;
}

/** Shows the progress of WORK, then one line: what was moved, and its digest. With --quiet only the digest. */
async function transfer(
  args: Arguments,
  io: Io,
  done: string,
  work: (engine: Engine, onEvent: ProgressSink) => Promise<Transferred>,
): Promise<number> {
  const kind = progressKind(args, io);
  const renderer = await createRenderer(kind, io);
  const { name, target } = await withEngine(args, io, async (engine) => {
    const display = startDisplay(renderer, io);
    try {
      return await work(engine, display.sink);
    } finally {
      display.end();
    }
  });
  if (kind === 'quiet') writeLine(io.stdout, target.digest);
  else writeLine(io.stdout, `${done} ${familiar(name)} ${target.digest}`);
  return 0;
}

export const push: Command = {
  usage: 'push [OPTIONS] NAME',
  about: 'Pushes an image of the store to the registry that its name says. What the registry has already is not sent.',
  flags: FLAGS,
  run(args, io) {
    const [name] = positionals(args, 'name');
    return transfer(args, io, 'pushed', async (engine, onEvent) => ({
      name,
      target: await engine.push(name, { signal: io.signal, onEvent }),
    }));
  },
};

export const pull: Command = {
  usage: 'pull [OPTIONS] NAME',
  about: 'Pulls an image into the store.',
  flags: [
    { name: 'platform', kind: 'string', value: 'OS/ARCH', help: 'Of an image for several platforms, this one' },
    ...FLAGS,
  ],
  run(args, io) {
    const [name] = positionals(args, 'name');
    const platform = args.string('platform');
    return transfer(args, io, 'pulled', (engine, onEvent) =>
      engine.pull(name, { platform, signal: io.signal, onEvent }),
    );
  },
};
