import type { ImageDetails } from '@strake/engine';
import { ENGINE_FLAGS } from '../args/engine-flags.js';
import { FORMAT_FLAGS, wantsJson } from '../args/format.js';
import type { Flag } from '../args/parse.js';
import { positionals } from '../args/positionals.js';
import type { Command } from '../command.js';
import { writeJson } from '../print/json.js';
import { ago, table } from '../print/table.js';
import { bytes, fit, harmless } from '../progress/text.js';
import { withEngine } from '../with-engine.js';

const FLAGS: readonly Flag[] = [
  { name: 'no-trunc', kind: 'boolean', help: 'Print the instructions in full' },
  ...FORMAT_FLAGS,
  ...ENGINE_FLAGS,
];
const CREATED_BY = 60;

interface Entry {
  readonly created: string | undefined;
  readonly createdBy: string;
  readonly comment: string;
  readonly emptyLayer: boolean;
  /** Bytes of the layer; 0 without one. */
  readonly size: number;
}

/** The history of an image, the newest entry first, each with the layer that it made. */
function entries({ config, layers }: ImageDetails): Entry[] {
  let layer = 0;
  return (config.history ?? [])
    .map((entry) => ({
      created: entry.created,
      createdBy: entry.created_by ?? '',
      comment: entry.comment ?? '',
      emptyLayer: entry.empty_layer ?? false,
      size: entry.empty_layer ? 0 : (layers[layer++]?.size ?? 0),
    }))
    .reverse();
}

export const history: Command = {
  usage: 'history [OPTIONS] IMAGE',
  about: 'Shows the instructions that an image was made by, the last one first, and how large their layers are.',
  flags: FLAGS,
  async run(args, io) {
    const [name] = positionals(args, 'image');
    const json = wantsJson(args);
    const found = entries(await withEngine(args, io, (engine) => engine.inspect(name)));
    if (json) writeJson(io.stdout, found);
    else {
      const whole = args.boolean('no-trunc');
      const rows = found.map((entry) => {
        const by = harmless(entry.createdBy.replaceAll('\n', ' '));
        return [
          ago(entry.created, io.now()),
          whole ? by : fit(by, CREATED_BY),
          bytes(entry.size),
          harmless(entry.comment),
        ];
      });
      io.stdout.write(table(['CREATED', 'CREATED BY', 'SIZE', 'COMMENT'], rows));
    }
    return 0;
  },
};
