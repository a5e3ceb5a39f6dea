import { parserError } from './errors.js';
import { cut, trimStart } from './text.js';

const KNOWN = new Set(['syntax', 'escape', 'check']);
const DIRECTIVE = /^([a-zA-Z][a-zA-Z0-9]*)[\t\n\f\r ]*=[\t\n\f\r ]*([^\n]+)$/;
const TRAILING = new Set([' ', '\t', '\n', '\f', '\r']);

export interface Directive {
  readonly name: 'syntax' | 'escape' | 'check';
  readonly value: string;
}

/** Reads `name = value` where the name is that of a directive; the first part of a comment or directive line is off already. */
export function readDirective(text: string): Directive | undefined {
  const match = DIRECTIVE.exec(text);
  const name = match?.[1]?.toLowerCase();
  if (!match || name === undefined || !KNOWN.has(name)) return undefined;
  const value = match[2] ?? '';
  let end = value.length;
  while (end > 1 && TRAILING.has(value.charAt(end - 1))) end--;
  return { name: name as Directive['name'], value: value.slice(0, end) };
}

/** Reads directives from the lines at the top of a file, up to the first line that is none. */
export class DirectiveReader {
  readonly #comment: string;
  readonly #seen = new Set<string>();
  #done = false;

  /** COMMENT is what a directive begins with. */
  constructor(comment = '#') {
    this.#comment = comment;
  }

  /**
   * The directive in LINE (which has no newline), if there is one.
   * @throws StrakeError `PARSE_DIRECTIVE` where it is there a second time
   */
  read(line: string): Directive | undefined {
    if (this.#done) return undefined;
    const directive = line.startsWith(this.#comment)
      ? readDirective(trimStart(line.slice(this.#comment.length)))
      : undefined;
    if (!directive) {
      this.#done = true;
      return undefined;
    }
    if (this.#seen.has(directive.name)) {
      throw parserError(
        'PARSE_DIRECTIVE',
        `only one ${directive.name} parser directive can be used`,
        `Remove one of the lines "# ${directive.name}=...".`,
      );
    }
    this.#seen.add(directive.name);
    return directive;
  }

  get done(): boolean {
    return this.#done;
  }
}

function findWithComment(text: string, name: Directive['name'], comment: string): string | undefined {
  const reader = new DirectiveReader(comment);
  let position = 0;
  while (position < text.length && !reader.done) {
    const newline = text.indexOf('\n', position);
    const end = newline < 0 ? text.length : newline;
    try {
      const directive = reader.read(text.slice(position, end));
      if (directive?.name === name) return cut(directive.value, ' ')[0];
    } catch {
      return undefined; // A second one of a kind is for the parser to report.
    }
    position = end + 1;
  }
  return undefined;
}

/** The value, up to its first blank, of a directive at the top of SOURCE. Unlike in the parser it may not be indented. */
export function findDirective(source: string, name: Directive['name']): string | undefined {
  return findWithComment(withoutShebang(source), name, '#');
}

/**
 * The frontend image that a file asks for: `# syntax=`, `// syntax=`, or a JSON object with the key `syntax`; a first line `#!` is
 * skipped. Undefined where it asks for none. Which frontends are understood is for the caller to say.
 */
export function detectSyntax(source: string): string | undefined {
  const text = withoutShebang(source);
  return findWithComment(text, 'syntax', '#') ?? findWithComment(text, 'syntax', '//') ?? syntaxOfJson(text);
}

function withoutShebang(source: string): string {
  const text = source.startsWith('\uFEFF') ? source.slice(1) : source;
  if (!text.startsWith('#!')) return text;
  return cut(text, '\n')[1] ?? '';
}

function syntaxOfJson(text: string): string | undefined {
  if (!/^[\t\n\r ]*\{/.test(text)) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    const syntax = value !== null && typeof value === 'object' ? (value as { syntax?: unknown }).syntax : undefined;
    return typeof syntax === 'string' ? syntax : undefined;
  } catch {
    return undefined; // Not JSON: then it is a Dockerfile without the directive.
  }
}
