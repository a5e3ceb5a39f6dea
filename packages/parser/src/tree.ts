import { StrakeError } from '@strake/core';
import { parserError } from './errors.js';
import { DirectiveReader } from './directives.js';
import { heredocsOfLine, readHeredoc } from './heredoc.js';
import { argumentsOf } from './arguments.js';
import { LineReader, locationOf, type SourceFile } from './source.js';
import { isSpace, trimNewline, trimSpace, trimStart } from './text.js';
import type { Heredoc } from './types.js';

/** An instruction as words, before anybody looks at what they mean. */
export interface Node {
  readonly keyword: string;
  readonly flags: readonly string[];
  /** ENV and LABEL: key, value and separator of each pair. */
  readonly args: readonly string[];
  /** The arguments are a JSON array. */
  readonly json: boolean;
  /** The instruction within ONBUILD. */
  readonly sub: Node | undefined;
  /** The line, continuations joined, not trimmed at its end. */
  readonly original: string;
}

/** A node at its place in a file. */
export interface PlacedNode extends Node {
  readonly startLine: number;
  readonly endLine: number;
  /** From 0. */
  readonly startColumn: number;
  /** Exclusive. */
  readonly endColumn: number;
  readonly heredocs: readonly Heredoc[];
  readonly comments: readonly string[];
}

export interface Tree {
  readonly nodes: readonly PlacedNode[];
  readonly escape: '\\' | '`';
  readonly emptyContinuations: readonly number[];
}

const HEREDOC_INSTRUCTIONS = new Set(['add', 'copy', 'run']);

function isComment(line: string): boolean {
  return trimStart(line).startsWith('#');
}

function canHaveHeredoc(node: Node): boolean {
  const inner = node.keyword.toLowerCase() === 'onbuild' ? (node.sub ?? node) : node;
  return HEREDOC_INSTRUCTIONS.has(inner.keyword.toLowerCase()) && !inner.json;
}

/** LINE without the escape character that continues it; `continues` tells whether there was one. Two of them do not continue. */
function trimContinuation(line: string, escape: string): { readonly text: string; readonly continues: boolean } {
  let end = line.length;
  while (end > 0 && (line[end - 1] === ' ' || line[end - 1] === '\t')) end--;
  if (line[end - 1] !== escape || line[end - 2] === escape) return { text: line, continues: false };
  return { text: line.slice(0, end - 1), continues: true };
}

/** One reading of a file. */
class TreeReader {
  readonly #source: SourceFile;
  readonly #reader: LineReader;
  readonly #directives = new DirectiveReader();
  readonly #nodes: PlacedNode[] = [];
  readonly #emptyContinuations: number[] = [];
  #escape: '\\' | '`' = '\\';
  #comments: string[] = [];

  constructor(source: SourceFile) {
    this.#source = source;
    this.#reader = new LineReader(source);
  }

  read(): Tree {
    for (let line = this.#reader.next(); line !== undefined; line = this.#reader.next()) this.#instruction(line);
    if (this.#nodes.length === 0) {
      throw parserError(
        'PARSE_EMPTY',
        this.#source.text === '' ? 'the Dockerfile cannot be empty' : 'file with no instructions',
        'A Dockerfile begins with FROM.',
        locationOf(this.#source, Math.max(1, this.#reader.line), Math.max(1, this.#reader.line)),
      );
    }
    return { nodes: this.#nodes, escape: this.#escape, emptyContinuations: this.#emptyContinuations };
  }

  /** Runs TASK; an error of it is placed at the lines from START to the present one. */
  #placed<T>(start: number, task: () => T): T {
    try {
      return task();
    } catch (error) {
      if (!(error instanceof StrakeError)) throw error;
      throw error.with({ location: locationOf(this.#source, start, this.#reader.line) });
    }
  }

  /** Whether LINE is a directive; `escape` takes effect at once. */
  #directive(line: string): boolean {
    return this.#placed(this.#reader.line, () => {
      const directive = this.#directives.read(line);
      if (directive?.name === 'escape') {
        if (directive.value !== '\\' && directive.value !== '`') {
          throw parserError(
            'PARSE_DIRECTIVE',
            `invalid escape token '${directive.value}' does not match \` or \\`,
            'Write # escape=` or # escape=\\.',
          );
        }
        this.#escape = directive.value;
      }
      return directive !== undefined;
    });
  }

  /** Collects a comment; the dropped first character is what BuildKit drops, indented or not. */
  #comment(line: string): void {
    const text = trimSpace(line.slice(1));
    if (text === '') this.#comments = [];
    else this.#comments.push(text);
  }

  #instruction(line: string): void {
    const startLine = this.#reader.line;
    const content = trimStart(trimNewline(line));
    const directive = this.#directive(content);
    if (isComment(line)) {
      if (!directive) this.#comment(line);
      return;
    }
    const first = trimContinuation(content, this.#escape);
    if (first.text === '' && !first.continues) return;
    const text = first.continues ? this.#continued(first.text) : first.text;
    let startColumn = 0;
    while (isSpace(line.charCodeAt(startColumn))) startColumn++;
    this.#placed(startLine, () => {
      const node = argumentsOf(text, this.#escape);
      const heredocs =
        canHaveHeredoc(node) && text.includes('<<')
          ? heredocsOfLine(text).map((word) => readHeredoc(this.#reader, word))
          : [];
      const endLine = this.#reader.line;
      const endColumn = this.#reader.lastLength;
      // Field by field: spreading costs a third of the time of a large file.
      const { keyword, flags, args, json, sub, original } = node;
      this.#nodes.push({
        keyword,
        flags,
        args,
        json,
        sub,
        original,
        startLine,
        endLine,
        startColumn,
        endColumn,
        heredocs,
        comments: this.#comments,
      });
    });
    this.#comments = [];
  }

  /** TEXT and the lines that continue it, in one. */
  #continued(text: string): string {
    const parts = [text];
    let empty = false;
    for (let line = this.#reader.next(); line !== undefined; line = this.#reader.next()) {
      const content = trimNewline(line);
      this.#directive(content);
      if (isComment(content)) continue;
      if (trimStart(content) === '') {
        empty = true;
        continue;
      }
      const part = trimContinuation(content, this.#escape);
      parts.push(part.text);
      if (!part.continues) break;
    }
    if (empty) this.#emptyContinuations.push(this.#reader.line);
    return parts.join('');
  }
}

/**
 * Reads the text of a Dockerfile into words (BuildKit's frontend/dockerfile/parser).
 * @throws StrakeError `PARSE_*`, with the place
 */
export function readTree(source: SourceFile): Tree {
  return new TreeReader(source).read();
}
