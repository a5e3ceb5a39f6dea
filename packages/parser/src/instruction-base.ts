import { parserError } from './errors.js';
import { locationOf, type SourceFile } from './source.js';
import { trimSpace } from './text.js';
import type { PlacedNode } from './tree.js';
import type { Command, Instruction } from './types.js';

/** What a typed instruction is made from. */
export interface NodeContext {
  readonly node: PlacedNode;
  readonly source: SourceFile;
}

/** The fields that all instructions have. */
export type Base = Pick<Instruction, 'keyword' | 'original' | 'location' | 'range' | 'comments'>;

export function baseOf({ node, source }: NodeContext): Base {
  return {
    keyword: node.keyword,
    original: trimSpace(node.original),
    location: locationOf(source, node.startLine, node.endLine, node.startColumn + 1),
    range: {
      start: { line: node.startLine, column: node.startColumn },
      end: { line: node.endLine, column: node.endColumn },
    },
    comments: node.comments,
  };
}

/** The JSON array, or the rest of the line as one text. */
export function commandOf(node: PlacedNode, args: readonly string[] = node.args): Command {
  return node.json
    ? { form: 'exec', args, heredocs: [] }
    : { form: 'shell', args: [args.join(' ')], heredocs: node.heredocs };
}

export function atLeastOne(keyword: string, hint?: string): Error {
  return parserError('PARSE_ARGUMENTS', `${keyword} requires at least one argument`, hint);
}

/** The only argument of NODE. */
export function exactlyOne(node: PlacedNode, keyword: string): string {
  const [value] = node.args;
  if (value === undefined || node.args.length !== 1) {
    throw parserError('PARSE_ARGUMENTS', `${keyword} requires exactly one argument`, `Write ${keyword} <value>.`);
  }
  return value;
}

/** The text above an instruction of the form `# NAME text`. */
export function descriptionOf(comments: readonly string[], name: string | undefined): string | undefined {
  if (!name) return undefined;
  return comments.find((line) => line.startsWith(`${name} `))?.slice(name.length + 1);
}
