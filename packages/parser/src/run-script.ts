import { asHeredocWord } from './heredoc.js';
import { cleanPath, trimSpace } from './text.js';
import type { Command } from './types.js';

/** What a RUN in shell form gives to its shell. */
export interface RunScript {
  /** The text for the shell: the line, a heredoc's body, or the line with its heredocs behind it for the shell to read. */
  readonly text: string;
  /** A script that must lie at `/dev/pipes/<name>` (mode 0755) for the step; then `text` is its path. */
  readonly file: { readonly name: string; readonly content: string } | undefined;
  /** What BuildKit appends to the step's name, in parentheses: a heredoc's first line. */
  readonly summary: string | undefined;
}

function summaryOf(body: string): string {
  const lines = trimSpace(body).replaceAll('\r\n', '\n').split('\n');
  return `${lines[0] ?? ''}${lines.length > 1 ? '...' : ''}`;
}

/**
 * Puts a RUN's line and heredocs together as BuildKit does. A heredoc alone is the script itself, whether its delimiter is quoted or
 * not; with `#!` it is a file. In a longer command it stays the shell's. A line without heredocs is returned as it is.
 */
export function runScript(command: Command): RunScript {
  const line = command.args.join(' ');
  const [first] = command.heredocs;
  if (!first) return { text: line, file: undefined, summary: undefined };
  if (!asHeredocWord(line)) {
    const bodies = command.heredocs.map((heredoc) => `\n${heredoc.raw}${heredoc.name}`);
    return { text: line + bodies.join(''), file: undefined, summary: undefined };
  }
  const summary = summaryOf(first.raw);
  if (!first.content.startsWith('#!')) return { text: first.content, file: undefined, summary };
  return {
    text: cleanPath(`/dev/pipes/${first.name}`),
    file: { name: first.name, content: first.content },
    summary,
  };
}
