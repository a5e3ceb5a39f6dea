import { ENGINE_FLAGS } from '../args/engine-flags.js';
import { positionals } from '../args/positionals.js';
import type { Command } from '../command.js';
import { usage } from '../errors.js';
import { writeLine } from '../io.js';
import { withEngine } from '../with-engine.js';

export const tag: Command = {
  usage: 'tag [OPTIONS] IMAGE NAME',
  about: 'Gives an image of the store a further name.',
  flags: ENGINE_FLAGS,
  async run(args, io) {
    const [source, target] = positionals(args, 'image', 'new name');
    await withEngine(args, io, (engine) => engine.tag(source, target));
    return 0;
  },
};

export const rm: Command = {
  usage: 'rm [OPTIONS] NAME...',
  about: 'Removes names of images from the store. Data that nothing refers to any more goes with garbage collection.',
  flags: ENGINE_FLAGS,
  async run(args, io) {
    if (args.positionals.length === 0) throw usage('the name is missing');
    await withEngine(args, io, async (engine) => {
      for (const name of args.positionals) {
        await engine.remove(name);
        writeLine(io.stdout, `removed ${name}`);
      }
    });
    return 0;
  },
};
