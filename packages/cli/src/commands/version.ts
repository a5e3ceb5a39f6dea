import { createRequire } from 'node:module';
import type { Command } from '../command.js';
import { writeLine } from '../io.js';

function packageVersion(): string {
  // By the package's own name: the bundle and the compiled sources lie at different depths.
  const manifest = createRequire(import.meta.url)('strake/package.json') as { readonly version: string };
  return manifest.version;
}

export const version: Command = {
  usage: 'version',
  about: 'Prints the version.',
  flags: [],
  run(_args, io) {
    writeLine(io.stdout, `strake ${packageVersion()}`);
    return Promise.resolve(0);
  },
};
