import { ENGINE_FLAGS } from '../args/engine-flags.js';
import { FORMAT_FLAGS } from '../args/format.js';
import type { Command } from '../command.js';
import { usage } from '../errors.js';
import { writeJson } from '../print/json.js';
import { withEngine } from '../with-engine.js';

export const inspect: Command = {
  usage: 'inspect [OPTIONS] IMAGE...',
  about:
    'Prints manifest, config and layers of images as a JSON array. IMAGE is a name, or the start of an id or digest.',
  // Always JSON; --json and --format are taken because other commands take them.
  flags: [...FORMAT_FLAGS.map(({ name, kind }) => ({ name, kind })), ...ENGINE_FLAGS],
  async run(args, io) {
    if (args.positionals.length === 0) throw usage('the image is missing');
    const details = await withEngine(args, io, async (engine) => {
      const found = [];
      for (const name of args.positionals) found.push(await engine.inspect(name));
      return found;
    });
    writeJson(io.stdout, details);
    return 0;
  },
};
