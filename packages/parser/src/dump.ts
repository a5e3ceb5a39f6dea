import { goQuote, goQuoteList } from '@strake/core';
import { readTree, type Node } from './tree.js';

/** The tree of a Dockerfile as BuildKit's parser dumps it. */
export interface TreeDump {
  /** One S-expression a line. */
  readonly text: string;
  /** First and last line of the whole, and of each instruction. */
  readonly lines: readonly [number, number];
  readonly instructions: readonly (readonly [number, number])[];
}

function expression(node: Node): string {
  const flags = node.flags.length === 0 ? '' : ` ${goQuoteList(node.flags)}`;
  const args = node.sub ? ` (${expression(node.sub)})` : node.args.map((arg) => ` ${goQuote(arg)}`).join('');
  return node.keyword.toLowerCase() + flags + args;
}

/**
 * The instructions of a Dockerfile as S-expressions, before anybody looks at what they mean: `(run ["--network=none"] "make")`.
 * @throws StrakeError `PARSE_*`
 */
export function dumpTree(source: string): TreeDump {
  const { nodes } = readTree({ file: 'Dockerfile', text: source });
  return {
    text: nodes.map((node) => `(${expression(node)})\n`).join(''),
    lines: [nodes[0]?.startLine ?? 0, nodes[nodes.length - 1]?.endLine ?? 0],
    instructions: nodes.map((node) => [node.startLine, node.endLine]),
  };
}
