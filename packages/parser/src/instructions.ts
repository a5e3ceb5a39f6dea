import { closest, goQuote, StrakeError } from '@strake/core';
import { INSTRUCTIONS } from './arguments.js';
import { addInstruction, copyInstruction } from './copy-instructions.js';
import { parserError, unknownInstruction } from './errors.js';
import { parseFlags } from './flags.js';
import { healthcheckInstruction } from './healthcheck-instruction.js';
import { atLeastOne, baseOf, commandOf, descriptionOf, exactlyOne, type NodeContext } from './instruction-base.js';
import { runInstruction } from './run-instruction.js';
import { clip, cut, trimSpace } from './text.js';
import type {
  ArgInstruction,
  EnvInstruction,
  FromInstruction,
  Instruction,
  KeyValue,
  LabelInstruction,
  OnbuildInstruction,
  WordInstruction,
  WordsInstruction,
} from './types.js';

const STAGE_NAME = /^[a-z][a-z0-9\-_.]*$/;

function noFlags({ node }: NodeContext): void {
  parseFlags(node.keyword, node.flags, {});
}

function stageName(args: readonly string[]): string | undefined {
  const [, as, name] = args;
  if (args.length === 1) return undefined;
  if (args.length !== 3 || name === undefined || as?.toLowerCase() !== 'as') {
    throw parserError(
      'PARSE_ARGUMENTS',
      'FROM requires either one or three arguments',
      'Write FROM <image>, or FROM <image> AS <name>.',
    );
  }
  if (!STAGE_NAME.test(name.toLowerCase())) {
    throw parserError(
      'PARSE_STAGE_NAME',
      `invalid name for build stage: ${goQuote(clip(name, 80))}, name can't start with a number or contain symbols`,
      'A name begins with a letter; letters, digits, - _ and . follow.',
    );
  }
  return name.toLowerCase();
}

function from(context: NodeContext): FromInstruction {
  const { args, flags } = context.node;
  const name = stageName(args);
  const platform = parseFlags('FROM', flags, { platform: 'value' }).value('platform');
  return {
    ...baseOf(context),
    kind: 'FROM',
    image: args[0] ?? '',
    platform: platform || undefined,
    name,
    as: name === undefined ? undefined : { keyword: args[1] ?? '', name: args[2] ?? '' },
  };
}

function arg(context: NodeContext): ArgInstruction {
  const { args, comments } = context.node;
  if (args.length === 0) throw atLeastOne('ARG', 'Write ARG <name>, or ARG <name>=<default>.');
  return {
    ...baseOf(context),
    kind: 'ARG',
    args: args.map((word) => {
      const [name, value] = cut(word, '=');
      if (name === '' && value !== undefined) throw blankName('ARG');
      return { name, value, description: descriptionOf(comments, name) };
    }),
  };
}

function blankName(keyword: string): Error {
  return parserError('PARSE_ARGUMENTS', `${keyword} names can not be blank`, `Write ${keyword} name=value.`);
}

function pairs({ node }: NodeContext, keyword: string): KeyValue[] {
  if (node.args.length === 0) throw atLeastOne(keyword, `Write ${keyword} name=value.`);
  const out: KeyValue[] = [];
  for (let i = 0; i < node.args.length; i += 3) {
    const key = node.args[i] ?? '';
    if (key === '') throw blankName(keyword);
    out.push({ key, value: node.args[i + 1] ?? '', legacy: node.args[i + 2] === '' });
  }
  return out;
}

function env(context: NodeContext): EnvInstruction {
  noFlags(context);
  return { ...baseOf(context), kind: 'ENV', pairs: pairs(context, 'ENV') };
}

function label(context: NodeContext): LabelInstruction {
  noFlags(context);
  return { ...baseOf(context), kind: 'LABEL', pairs: pairs(context, 'LABEL') };
}

function word(kind: WordInstruction['kind']): (context: NodeContext) => WordInstruction {
  return (context) => {
    const value = exactlyOne(context.node, kind);
    // Flags in front of STOPSIGNAL are ignored, even unknown ones, as in BuildKit.
    if (kind !== 'STOPSIGNAL') noFlags(context);
    return { ...baseOf(context), kind, value };
  };
}

function expose(context: NodeContext): WordsInstruction {
  const { args } = context.node;
  if (args.length === 0) throw atLeastOne('EXPOSE', 'Write EXPOSE <port>[/<protocol>]...');
  noFlags(context);
  return { ...baseOf(context), kind: 'EXPOSE', words: [...args].sort() };
}

function volume(context: NodeContext): WordsInstruction {
  const { args } = context.node;
  if (args.length === 0) throw atLeastOne('VOLUME', 'Write VOLUME <path>...');
  noFlags(context);
  const words = args.map(trimSpace);
  if (words.includes('')) {
    throw parserError('PARSE_ARGUMENTS', 'VOLUME specified can not be an empty string', 'Remove the empty string.');
  }
  return { ...baseOf(context), kind: 'VOLUME', words };
}

function shell(context: NodeContext): WordsInstruction {
  const { node } = context;
  noFlags(context);
  if (node.args.length === 0) throw atLeastOne('SHELL', 'Write SHELL ["/bin/sh", "-c"].');
  if (!node.json) {
    throw parserError(
      'PARSE_JSON',
      'SHELL requires the arguments to be in JSON form',
      'Write SHELL ["/bin/sh", "-c"], with double quotes.',
    );
  }
  return { ...baseOf(context), kind: 'SHELL', words: node.args };
}

function onbuild(context: NodeContext): OnbuildInstruction {
  const { node } = context;
  const [inner] = node.args;
  if (inner === undefined) throw atLeastOne('ONBUILD', 'Write ONBUILD <instruction>.');
  noFlags(context);
  const keyword = trimSpace(inner).toUpperCase();
  if (keyword === 'ONBUILD') {
    throw parserError('PARSE_ONBUILD', "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed", 'Write ONBUILD once.');
  }
  if (keyword === 'MAINTAINER' || keyword === 'FROM') {
    throw parserError('PARSE_ONBUILD', `${keyword} isn't allowed as an ONBUILD trigger`, 'Use another instruction.');
  }
  const text = node.original.replace(/^[\t\n\f\r ]*onbuild[\t\n\f\r ]*/i, '');
  const bodies = node.heredocs.map((heredoc) => `\n${heredoc.raw}${heredoc.name}`);
  return { ...baseOf(context), kind: 'ONBUILD', trigger: text + bodies.join('') };
}

const BUILDERS: ReadonlyMap<string, (context: NodeContext) => Instruction> = new Map<
  string,
  (context: NodeContext) => Instruction
>([
  ['add', addInstruction],
  ['arg', arg],
  ['copy', copyInstruction],
  ['env', env],
  ['expose', expose],
  ['from', from],
  ['healthcheck', healthcheckInstruction],
  ['label', label],
  ['maintainer', word('MAINTAINER')],
  ['onbuild', onbuild],
  ['run', runInstruction],
  ['shell', shell],
  ['stopsignal', word('STOPSIGNAL')],
  ['user', word('USER')],
  ['volume', volume],
  ['workdir', word('WORKDIR')],
  ...(['CMD', 'ENTRYPOINT'] as const).map(
    (kind) =>
      [
        kind.toLowerCase(),
        (context: NodeContext): Instruction => {
          noFlags(context);
          return { ...baseOf(context), kind, command: commandOf(context.node) };
        },
      ] as const,
  ),
]);

/**
 * The typed instruction of a node (BuildKit's frontend/dockerfile/instructions).
 * @throws StrakeError `PARSE_*`, `MOUNT_INVALID` or `EXPAND_SYNTAX`, with the instruction's place
 */
export function instructionOf(context: NodeContext): Instruction {
  const { node } = context;
  try {
    const build = BUILDERS.get(node.keyword.toLowerCase());
    if (build) return build(context);
    const guess = node.keyword.length > 40 ? undefined : closest(node.keyword, INSTRUCTIONS, 2);
    throw unknownInstruction(node.keyword, guess);
  } catch (error) {
    if (!(error instanceof StrakeError)) throw error;
    throw error.with({ location: baseOf(context).location });
  }
}
