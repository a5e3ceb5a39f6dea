import { ENGINE_FLAGS } from '../args/engine-flags.js';
import { FORMAT_FLAGS, wantsJson } from '../args/format.js';
import type { Command } from '../command.js';
import { usage } from '../errors.js';
import { explanation } from '../print/explanation.js';
import { writeJson } from '../print/json.js';
import { withEngine } from '../with-engine.js';

export const explain: Command = {
  usage: 'explain [OPTIONS] [IMAGE|last]',
  about:
    'Says of each step of the last build, or of the build that made IMAGE, whether it came from the cache, how long it took, and\n' +
    'why it ran: compared with the build of the same context, Dockerfile and target before it.',
  flags: [...FORMAT_FLAGS, ...ENGINE_FLAGS],
  async run(args, io) {
    const [name, extra] = args.positionals;
    if (extra !== undefined) throw usage(`"${extra}" is one argument too many`);
    const json = wantsJson(args);
    const found = await withEngine(args, io, (engine) => engine.explain(name));
    if (json) writeJson(io.stdout, found);
    else io.stdout.write(explanation(found.steps));
    return 0;
  },
};
