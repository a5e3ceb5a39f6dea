import { ENGINE_FLAGS } from '../args/engine-flags.js';
import type { Flag } from '../args/parse.js';
import { choice } from '../args/values.js';
import type { Command } from '../command.js';
import { usage } from '../errors.js';
import { withEngine } from '../with-engine.js';

const FLAGS: readonly Flag[] = [
  {
    name: 'env',
    short: 'e',
    kind: 'list',
    value: 'NAME[=VALUE]',
    help: 'Variable; without =VALUE from the environment',
  },
  { name: 'workdir', short: 'w', kind: 'string', value: 'DIR', help: 'Folder to start in' },
  { name: 'user', short: 'u', kind: 'string', value: 'USER[:GROUP]', help: 'Who to run as' },
  { name: 'entrypoint', kind: 'string', value: 'PROGRAM', help: "Instead of the image's entrypoint" },
  { name: 'hostname', short: 'h', kind: 'string', value: 'NAME', help: 'Name of the host that the container sees' },
  { name: 'network', kind: 'string', value: 'MODE', help: 'host or none' },
  { name: 'interactive', short: 'i', kind: 'boolean', help: 'Hand on standard input' },
  { name: 'tty', short: 't', kind: 'boolean', help: 'Give the container a terminal' },
  { name: 'rm', kind: 'boolean', ignored: 'containers are always removed', silent: ['true'] },
  ...ENGINE_FLAGS,
];

/** `-e NAME` takes the value from the environment, and nothing where it has none. */
function environment(words: readonly string[], env: Readonly<Record<string, string | undefined>>): string[] {
  return words.flatMap((word) => {
    if (word.startsWith('=') || word === '') throw usage(`--env: "${word}" has no name`);
    if (word.includes('=')) return [word];
    const value = env[word];
    return value === undefined ? [] : [`${word}=${value}`];
  });
}

export const run: Command = {
  usage: 'run [OPTIONS] IMAGE [COMMAND] [ARGUMENT...]',
  about: "Runs an image in a container that is gone afterwards. The exit status is the container's.",
  flags: FLAGS,
  stopAtPositional: true,
  async run(args, io) {
    const [image, ...command] = args.positionals;
    if (!image) throw usage('the image is missing');
    const network = args.string('network');
    const entrypoint = args.string('entrypoint');
    return withEngine(args, io, (engine) =>
      engine.run({
        image,
        command: command.length > 0 ? command : undefined,
        entrypoint,
        env: environment(args.list('env'), io.env),
        workdir: args.string('workdir'),
        user: args.string('user'),
        hostname: args.string('hostname'),
        network: network === undefined ? undefined : choice(network, ['host', 'none'] as const, '--network'),
        interactive: args.boolean('interactive'),
        tty: args.boolean('tty'),
        signal: io.signal,
        onOutput: (stream, data) => io[stream].write(data),
      }),
    );
  },
};
