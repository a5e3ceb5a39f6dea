import { closest } from '@strake/core';
import type { Flag } from '../args/parse.js';
import { COMMANDS } from '../commands.js';
import { usage } from '../errors.js';
import { writeLine, type Io } from '../io.js';

const COLUMN = 34;

function flagLine(flag: Flag): string {
  const short = flag.short ? `-${flag.short}, ` : '    ';
  const left = `  ${short}--${flag.name}${flag.kind === 'boolean' ? '' : ` ${flag.value ?? 'VALUE'}`}`;
  const gap = left.length < COLUMN ? ' '.repeat(COLUMN - left.length) : `\n${' '.repeat(COLUMN)}`;
  return `${left}${gap}${flag.help ?? ''}`;
}

function overview(): string {
  const names = [...COMMANDS].map(([name, { summary }]) => `  ${name.padEnd(10)}${summary}`);
  return [
    'Strake builds container images from Dockerfiles: no daemon, no privileges.',
    '',
    'usage: strake COMMAND [OPTIONS]',
    '',
    ...names,
    '',
    'strake COMMAND --help tells more about one of them.',
  ].join('\n');
}

/**
 * Prints the help of a command, or the list of all commands.
 * @throws StrakeError `USAGE` where there is no such command
 */
export async function printHelp(name: string | undefined, io: Io): Promise<number> {
  const entry = name === undefined ? undefined : COMMANDS.get(name);
  if (name !== undefined && !entry) {
    const near = closest(name, COMMANDS.keys(), 2);
    throw usage(`unknown command "${name}"`, near ? `Did you mean ${near}?` : 'See strake help.');
  }
  if (!entry) {
    writeLine(io.stdout, overview());
    return 0;
  }
  const command = await entry.load();
  const listed = command.flags.filter((flag) => flag.help !== undefined);
  const lines = [`usage: strake ${command.usage}`, '', command.about];
  if (listed.length > 0) lines.push('', ...listed.map(flagLine));
  writeLine(io.stdout, lines.join('\n'));
  return 0;
}
