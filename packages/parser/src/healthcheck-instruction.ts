import { goQuote } from '@strake/core';
import { parseInterval } from './duration.js';
import { parserError } from './errors.js';
import { parseFlags } from './flags.js';
import { atLeastOne, baseOf, commandOf, type NodeContext } from './instruction-base.js';
import { clip } from './text.js';
import type { HealthcheckInstruction } from './types.js';

const FLAGS = {
  interval: 'value',
  timeout: 'value',
  'start-period': 'value',
  'start-interval': 'value',
  retries: 'value',
} as const;

function parseRetries(text: string): number {
  const value = /^[-+]?\d{1,20}$/.test(text) ? Number(text) : NaN;
  if (Number.isNaN(value) || value >= 2 ** 31 || value < -(2 ** 31)) {
    throw parserError('PARSE_ARGUMENTS', `--retries is not a number: ${clip(text, 40)}`, 'Write --retries=3.');
  }
  if (value < 0) {
    throw parserError('PARSE_ARGUMENTS', `--retries cannot be negative (${value})`, '0 means the default.');
  }
  return value;
}

export function healthcheckInstruction(context: NodeContext): HealthcheckInstruction {
  const { node } = context;
  const type = node.args[0]?.toUpperCase();
  const args = node.args.slice(1);
  if (type === undefined) throw atLeastOne('HEALTHCHECK', 'Write HEALTHCHECK CMD <command>, or HEALTHCHECK NONE.');
  const none = {
    interval: undefined,
    timeout: undefined,
    startPeriod: undefined,
    startInterval: undefined,
    retries: undefined,
  };
  if (type === 'NONE') {
    // Its flags are not looked at, as in BuildKit.
    if (args.length > 0) {
      throw parserError('PARSE_ARGUMENTS', 'HEALTHCHECK NONE takes no arguments', 'Write HEALTHCHECK NONE alone.');
    }
    return { ...baseOf(context), kind: 'HEALTHCHECK', test: 'NONE', ...none };
  }
  const flags = parseFlags('HEALTHCHECK', node.flags, FLAGS);
  if (type !== 'CMD') {
    throw parserError(
      'PARSE_ARGUMENTS',
      `Unknown type ${goQuote(clip(type, 40))} in HEALTHCHECK (try CMD)`,
      'Write HEALTHCHECK CMD <command>, or HEALTHCHECK NONE.',
    );
  }
  if (args.length === 0) {
    throw parserError('PARSE_ARGUMENTS', 'Missing command after HEALTHCHECK CMD', 'Write HEALTHCHECK CMD <command>.');
  }
  const interval = (name: keyof typeof FLAGS): number | undefined => {
    const value = flags.value(name);
    return value === undefined ? undefined : parseInterval(name, value);
  };
  const retries = flags.value('retries');
  return {
    ...baseOf(context),
    kind: 'HEALTHCHECK',
    test: commandOf(node, args),
    interval: interval('interval'),
    timeout: interval('timeout'),
    startPeriod: interval('start-period'),
    startInterval: interval('start-interval'),
    retries: retries ? parseRetries(retries) : undefined,
  };
}
