import { formatPlatform, shortDigest } from '@strake/core';
import { ENGINE_FLAGS } from '../args/engine-flags.js';
import { FORMAT_FLAGS, wantsJson } from '../args/format.js';
import { positionals } from '../args/positionals.js';
import type { Command } from '../command.js';
import { writeLine } from '../io.js';
import { writeJson } from '../print/json.js';
import { repositoryAndTag } from '../print/names.js';
import { ago, table } from '../print/table.js';
import { bytes } from '../progress/text.js';
import { withEngine } from '../with-engine.js';

const HEADING = ['REPOSITORY', 'TAG', 'IMAGE ID', 'PLATFORM', 'CREATED', 'SIZE'];

export const images: Command = {
  usage: 'images [OPTIONS]',
  about: 'Lists the images in the store. Sizes are those of the layers as they would be transferred.',
  flags: [{ name: 'quiet', short: 'q', kind: 'boolean', help: 'Print only ids' }, ...FORMAT_FLAGS, ...ENGINE_FLAGS],
  async run(args, io) {
    positionals(args);
    const json = wantsJson(args);
    const found = await withEngine(args, io, (engine) => engine.images());
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
