import type { Command } from '../command.js';
import { build } from './build.js';

export const check: Command = {
  usage: 'check [OPTIONS] CONTEXT',
  about:
    "Checks a Dockerfile by BuildKit's rules and builds nothing: strake build --check. Status 1 where something was found.",
  flags: build.flags,
  run: (args, io) => build.run(args.with('check', 'true'), io),
};
