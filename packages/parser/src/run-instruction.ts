import { closest, goQuote } from '@strake/core';
import { parseCsvLine } from './csv.js';
import { didYouMean, parserError } from './errors.js';
import { parseFlags } from './flags.js';
import { baseOf, commandOf, type NodeContext } from './instruction-base.js';
import { mountSource } from './mount.js';
import { clip, cut, parseBool } from './text.js';
import type { RunInstruction } from './types.js';

const FLAGS = { mount: 'list', network: 'value', security: 'value', device: 'list' } as const;
const NETWORKS = ['default', 'none', 'host'] as const;
const SECURITY = ['sandbox', 'insecure'] as const;

function oneOf<T extends string>(value: string | undefined, choices: readonly [T, ...T[]], message: string): T {
  if (value === undefined) return choices[0];
  const found = choices.find((choice) => choice === value);
  if (found !== undefined) return found;
  throw parserError('PARSE_FLAG', message, `Known are ${choices.join(', ')}.`);
}

/** A device is `NAME[,required]`, or `name=NAME,required=true`. */
function checkDevice(value: string): void {
  const bad = (message: string): Error => parserError('PARSE_FLAG', message, 'Write --device=<name>[,required].');
  let name: string | undefined;
  for (const field of parseCsvLine(value, (why) => bad(`failed to parse csv devices: ${why}`))) {
    const [written, setting] = cut(field, '=');
    const key = written.toLowerCase();
    if (key === 'required') {
      if (setting !== undefined && parseBool(setting) === undefined) {
        throw bad(`invalid value for required: ${clip(setting, 40)}`);
      }
    } else if (key === 'name' && setting !== undefined) {
      if (name !== undefined) throw bad(`device name already set to ${clip(name, 40)}`);
      name = setting;
    } else if (name === undefined) {
      name = field;
    } else if (setting === undefined) {
      throw bad(`invalid field '${clip(field, 40)}' must be a key=value pair`);
    } else {
      const guess = key.length > 40 ? undefined : closest(key, ['name', 'required'], 2);
      throw bad(`unexpected key '${clip(key, 40)}' in '${clip(field, 80)}'${didYouMean(guess)}`);
    }
  }
}

export function runInstruction(context: NodeContext): RunInstruction {
  const { node } = context;
  const flags = parseFlags('RUN', node.flags, FLAGS);
  const mounts = flags.list('mount');
  for (const mount of mounts) mountSource(mount);
  const devices = flags.list('device');
  devices.forEach(checkDevice);
  const network = flags.value('network');
  const security = flags.value('security');
  return {
    ...baseOf(context),
    kind: 'RUN',
    command: commandOf(node),
    mounts,
    network: oneOf(network, NETWORKS, `invalid network mode ${goQuote(clip(network ?? '', 40))}`),
    security: oneOf(security, SECURITY, `security ${goQuote(clip(security ?? '', 40))} is not valid`),
    devices,
  };
}
