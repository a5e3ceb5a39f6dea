import { familiarName, formatPlatform, parseReference, shortDigest } from '@strake/core';
import type { ImageSummary } from '@strake/engine';
import { ENGINE_FLAGS } from '../args/engine-flags.js';
import { FORMAT_FLAGS, wantsJson } from '../args/format.js';
import type { Command } from '../command.js';
import { usage } from '../errors.js';
import { writeLine } from '../io.js';
import { writeJson } from '../print/json.js';
import { repositoryAndTag } from '../print/names.js';
import { ago, table } from '../print/table.js';
import { bytes } from '../progress/text.js';
import { withEngine } from '../with-engine.js';

const HEADING = ['REPOSITORY', 'TAG', 'IMAGE ID', 'PLATFORM', 'CREATED', 'SIZE'];

/** The images whose name, with or without its tag, matches a shell pattern. */
async function matching(images: readonly ImageSummary[], pattern: string): Promise<ImageSummary[]> {
  const { minimatch } = await import('minimatch');
  return images.filter(({ name }) => {
    const reference = parseReference(name);
    const full = familiarName(reference);
    const repository = full.replace(/(?::[^:/]*)?(?:@.*)?$/, '');
    return [full, repository].some((text) => minimatch(text, pattern));
  });
}

export const images: Command = {
  usage: 'images [OPTIONS] [PATTERN]',
  about:
    'Lists the images in the store, with PATTERN (*, ?, [a-z], {a,b}) those whose name or repository matches. Sizes are those of the layers as they would be transferred.',
  flags: [{ name: 'quiet', short: 'q', kind: 'boolean', help: 'Print only ids' }, ...FORMAT_FLAGS, ...ENGINE_FLAGS],
  async run(args, io) {
    const [pattern, extra] = args.positionals;
    if (extra !== undefined) throw usage(`"${extra}" is one argument too many`);
    const json = wantsJson(args);
    const all = await withEngine(args, io, (engine) => engine.images());
    const found = pattern === undefined ? all : await matching(all, pattern);
    if (args.boolean('quiet')) {
      for (const id of new Set(found.map((image) => image.configDigest))) writeLine(io.stdout, id);
    } else if (json) writeJson(io.stdout, found);
    else {
      const rows = found.map((image) => [
        ...repositoryAndTag(image.name),
        shortDigest(image.configDigest),
        formatPlatform(image.platform),
        ago(image.created, io.now()),
        bytes(image.size),
      ]);
      io.stdout.write(table(HEADING, rows));
    }
    return 0;
  },
};
