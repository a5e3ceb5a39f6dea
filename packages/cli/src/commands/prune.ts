import type { PruneOptions, PruneResult } from '@strake/engine';
import { ENGINE_FLAGS } from '../args/engine-flags.js';
import { FORMAT_FLAGS, wantsJson } from '../args/format.js';
import type { Flag } from '../args/parse.js';
import { positionals } from '../args/positionals.js';
import { byteSize } from '../args/values.js';
import type { Command } from '../command.js';
import { usage } from '../errors.js';
import { writeLine, type Io } from '../io.js';
import { writeJson } from '../print/json.js';
import { familiar } from '../print/names.js';
import { table } from '../print/table.js';
import { bytes, fit, oneLine } from '../progress/text.js';
import { ask } from '../prompt.js';
import { withEngine } from '../with-engine.js';

const FLAGS: readonly Flag[] = [
  { name: 'all', short: 'a', kind: 'boolean', help: 'Also cache of named images, and unpacked file trees' },
  { name: 'force', short: 'f', kind: 'boolean', help: 'Do not ask' },
  {
    name: 'filter',
    kind: 'list',
    value: 'KEY=VALUE',
    help: 'Only what matches: until=24h, type=exec.cachemount, id=, description=, shared=, private=',
  },
  {
    name: 'keep-storage',
    kind: 'string',
    value: 'BYTES',
    help: 'Cache that may stay (5g): what was used last longest ago goes first',
  },
  {
    name: 'images',
    kind: 'boolean',
    help: 'Also pulled images that no image built here stands on; with --all every pulled one',
  },
  { name: 'verbose', short: 'v', kind: 'boolean', help: 'List what was removed' },
  // names of `docker buildx prune`
  { name: 'reserved-space', kind: 'string' },
  ...FORMAT_FLAGS,
  ...ENGINE_FLAGS,
];
const DESCRIPTION = 70;

function question({ all, images }: PruneOptions): string {
  const what = all ? 'all build cache, also that of named images' : 'build cache that no named image holds';
  return `This removes ${what}${images ? ', and unused pulled images' : ''}. Continue? [y/N] `;
}

async function confirmed(options: PruneOptions, io: Io): Promise<boolean> {
  if (!io.stdin().isTTY) {
    throw usage('prune asks first, and standard input is no terminal', 'Add --force (-f) to prune without a question.');
  }
  return /^y(?:es)?$/i.test((await ask(question(options), io)).trim());
}

function print({ removed, names, freed, deferred }: PruneResult, verbose: boolean, io: Io): void {
  for (const name of names) writeLine(io.stdout, `removed ${familiar(name)}`);
  if (verbose && removed.length > 0) {
    const rows = removed.map(({ id, type, size, description }) => [
      id.replace(/^sha256:(.{12}).*/, '$1').replace(/^([a-z]+\/.{12}).*/, '$1'),
      type,
      bytes(size),
      fit(oneLine(description), DESCRIPTION),
    ]);
    io.stdout.write(table(['ID', 'TYPE', 'SIZE', 'DESCRIPTION'], rows));
  }
  const count = `${removed.length} item${removed.length === 1 ? '' : 's'} of cache removed`;
  const later = ' will be free when the builds that are running have ended';
  writeLine(io.stdout, deferred ? `${count}; ${bytes(freed)}${later}` : `${count}, ${bytes(freed)} freed`);
}

export const prune: Command = {
  usage: 'prune [OPTIONS]',
  about:
    'Removes build cache: results of steps, cache mounts, remembered digests. Never what a running build uses or a named image\n' +
    'consists of; names go with strake rm. Builds do the same by themselves where the cache grows too large: by default beyond\n' +
    '60 % of the disk or 100 GB, or where less than 20 % of the disk is free, down to 10 GB or 10 % of the disk.',
  flags: FLAGS,
  async run(args, io) {
    positionals(args);
    const keep = args.string('keep-storage') ?? args.string('reserved-space');
    const options: PruneOptions = {
      all: args.boolean('all'),
      images: args.boolean('images'),
      filters: args.list('filter'),
      keepStorage: keep === undefined ? undefined : byteSize(keep, '--keep-storage'),
      signal: io.signal,
    };
    const json = wantsJson(args);
    if (!args.boolean('force') && !(await confirmed(options, io))) return 1;
    const result = await withEngine(args, io, (engine) => engine.prune(options));
    if (json) writeJson(io.stdout, result);
    else print(result, args.boolean('verbose'), io);
    return 0;
  },
};
