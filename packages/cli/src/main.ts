import { closest, isStrakeError } from '@strake/core';
import { parse, type Flag } from './args/parse.js';
import { COMMANDS } from './commands.js';
import { usage } from './errors.js';
import type { Io } from './io.js';

const HELP: Flag = { name: 'help', short: 'h', kind: 'boolean' };

/** Exit statuses beside those of containers. */
const FAILURE = 1;
const USAGE = 2;

async function dispatch(argv: readonly string[], io: Io): Promise<number> {
  const [word, ...rest] = argv;
  if (word === undefined || word === 'help' || word === '--help' || word === '-h') {
    const { printHelp } = await import('./print/help.js');
    return printHelp(word === undefined ? undefined : rest[0], io);
  }
  const name = word === '--version' || word === '-v' ? 'version' : word;
  const entry = COMMANDS.get(name);
  if (!entry) {
    if (name.startsWith('-'))
      throw usage(`unknown flag ${name}`, 'Flags stand behind the command: strake build --tag app .');
    const near = closest(name, COMMANDS.keys(), 2);
    throw usage(`unknown command "${name}"`, near ? `Did you mean ${near}?` : 'See strake help.');
  }
  const command = await entry.load();
  const takesH = command.flags.some((flag) => flag.short === 'h');
  const help = takesH ? { ...HELP, short: undefined } : HELP;
  const flags = [...command.flags, { name: help.name, kind: help.kind, ...(help.short && { short: help.short }) }];
  const args = parse(rest, flags, { stopAtPositional: command.stopAtPositional ?? false });
  if (args.boolean('help')) {
    const { printHelp } = await import('./print/help.js');
    return printHelp(name, io);
  }
  return command.run(args, io);
}

/**
 * The command line: ARGV without node and script. Resolves to the exit status: 0, 1 for a failure, 2 for wrong usage, of `run`
 * the container's. Everything that goes wrong is printed, nothing is thrown.
 */
export async function main(argv: readonly string[], io: Io): Promise<number> {
  try {
    return await dispatch(argv, io);
  } catch (error) {
    const { describeError } = await import('./print/error.js');
    io.stderr.write(describeError(error, { debug: Boolean(io.env['STRAKE_DEBUG']), cancelled: io.signal.aborted }));
    return isStrakeError(error, 'USAGE') ? USAGE : FAILURE;
  }
}
