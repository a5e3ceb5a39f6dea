import { parserError } from './errors.js';
import { parseFlags, type Flags } from './flags.js';
import { asHeredocWord } from './heredoc.js';
import { baseOf, type NodeContext } from './instruction-base.js';
import { lex } from './lexer.js';
import type { PlacedNode } from './tree.js';
import type { AddInstruction, CopyInstruction, Heredoc } from './types.js';

const COMMON = { chown: 'value', chmod: 'value', link: 'boolean', exclude: 'list' } as const;
const COPY_FLAGS = { ...COMMON, from: 'value', parents: 'boolean' } as const;
const ADD_FLAGS = { ...COMMON, 'keep-git-dir': 'boolean', checksum: 'value', unpack: 'boolean' } as const;

function needTwo(node: PlacedNode, keyword: string): void {
  if (node.args.length >= 2) return;
  throw parserError(
    'PARSE_ARGUMENTS',
    `${keyword} requires at least two arguments, but only one was provided. Destination could not be determined`,
    `Write ${keyword} <source>... <destination>.`,
  );
}

/** Which arguments are paths and which heredocs. Of two heredocs of one name both are the last, as in BuildKit. */
function sourcesOf(node: PlacedNode, keyword: string): Pick<CopyInstruction, 'sources' | 'heredocs' | 'destination'> {
  const destination = node.args[node.args.length - 1] ?? '';
  if (asHeredocWord(destination)) {
    throw parserError(
      'PARSE_HEREDOC',
      `${keyword} cannot accept a heredoc as a destination`,
      'The destination stands last, behind the heredocs.',
    );
  }
  const byName = new Map(node.heredocs.map((heredoc) => [heredoc.name, heredoc]));
  const sources: string[] = [];
  const heredocs: Heredoc[] = [];
  for (const argument of node.args.slice(0, -1)) {
    const word = asHeredocWord(argument);
    if (!word) sources.push(argument);
    else heredocs.push({ ...word, content: '', raw: '', ...contentOf(byName.get(word.name), word.chomp) });
  }
  return { sources, heredocs, destination };
}

function contentOf(heredoc: Heredoc | undefined, chomp: boolean): Pick<Heredoc, 'content' | 'raw'> | undefined {
  if (!heredoc) return undefined;
  return { content: chomp ? heredoc.raw.replace(/(^|\n)\t+/g, '$1') : heredoc.raw, raw: heredoc.raw };
}

function common(flags: Flags): Pick<CopyInstruction, 'chown' | 'chmod' | 'link' | 'exclude'> {
  return {
    chown: flags.value('chown') || undefined,
    chmod: flags.value('chmod') || undefined,
    link: flags.boolean('link') ?? false,
    exclude: flags.list('exclude'),
  };
}

/** `--from` names a stage or an image; a variable in it is an error. */
function fromOf(flags: Flags): string | undefined {
  const from = flags.value('from');
  if (!from) return undefined;
  if (lex(from, { get: () => undefined, names: () => [] }, { escape: '\\' }).text === from) return from;
  throw parserError(
    'PARSE_FLAG',
    'variable expansion is not supported for --from, define a new stage with FROM using ARG from global scope as a workaround',
    `Write FROM ${from} AS <name> further up, and --from=<name>.`,
  );
}

export function copyInstruction(context: NodeContext): CopyInstruction {
  const { node } = context;
  needTwo(node, 'COPY');
  const flags = parseFlags('COPY', node.flags, COPY_FLAGS);
  return {
    ...baseOf(context),
    kind: 'COPY',
    ...sourcesOf(node, 'COPY'),
    ...common(flags),
    from: fromOf(flags),
    parents: flags.boolean('parents') ?? false,
  };
}

export function addInstruction(context: NodeContext): AddInstruction {
  const { node } = context;
  needTwo(node, 'ADD');
  const flags = parseFlags('ADD', node.flags, ADD_FLAGS);
  return {
    ...baseOf(context),
    kind: 'ADD',
    ...sourcesOf(node, 'ADD'),
    ...common(flags),
    checksum: flags.value('checksum') || undefined,
    keepGitDir: flags.boolean('keep-git-dir'),
    unpack: flags.boolean('unpack'),
  };
}
