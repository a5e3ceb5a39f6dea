import { expansionTooLarge } from './errors.js';
import { lex, type LexerResult } from './lexer.js';
import type { Environment, Expansion } from './types.js';

/** Expands variables as an instruction of BuildKit does; made once for a Dockerfile, for its escape character. */
export interface Expander {
  /**
   * WORD with quotes resolved and variables in their place. The environment is not changed.
   * @throws StrakeError `EXPAND_SYNTAX`, `EXPAND_REQUIRED` (`${v:?message}`), `EXPAND_TOO_LARGE`
   */
  expandWord(word: string, env: Environment): Expansion;
  /** As expandWord, then cut at blanks that no quotes hold together: how EXPOSE reads its words. */
  expandWords(
    text: string,
    env: Environment,
  ): { readonly words: readonly string[]; readonly unmatched: readonly string[] };
  /**
   * TEXT for a step's name: variables that are set are replaced, all else stays as written. Never throws: a text that cannot be
   * expanded is returned as it is. With RUN, quotes and unset variables are kept.
   */
  expandForDisplay(text: string, env: Environment, options?: { readonly run?: boolean }): string;
}

function expansionOf(result: LexerResult): Expansion {
  return { text: result.text, matched: [...result.matched], unmatched: [...result.unmatched] };
}

/** Characters that the variables of all words may add up to: twenty thousand words of a long variable make gigabytes. */
const MOST = 64 * 1024 * 1024;

/** An expander for the escape character of a Dockerfile (shell/lex.go of BuildKit). */
export function createExpander(escape: '\\' | '`'): Expander {
  let added = 0;
  const bounded = (word: string, result: LexerResult): LexerResult => {
    added += Math.max(0, result.text.length - word.length);
    if (added > MOST)
      throw expansionTooLarge(
        `the variables of the Dockerfile are too large: they come to more than ${MOST} characters, the limit`,
      );
    return result;
  };
  return {
    expandWord: (word, env) => expansionOf(bounded(word, lex(word, env, { escape }))),
    expandWords: (text, env) => {
      const result = bounded(text, lex(text, env, { escape, split: true }));
      return { words: result.words, unmatched: [...result.unmatched] };
    },
    expandForDisplay: (text, env, options) => {
      const raw = options?.run ?? false;
      try {
        return lex(text, env, { escape, rawQuotes: raw, keepUnset: raw }).text;
      } catch {
        return text;
      }
    },
  };
}

/**
 * The body of a heredoc of COPY or ADD with its variables replaced. Quotes are ordinary characters there; the escape character is
 * always the backslash: it keeps a `$` from being expanded, and vanishes from in front of any other character.
 * @throws StrakeError as `expandWord`
 */
export function expandHeredoc(body: string, env: Environment): Expansion {
  return expansionOf(lex(body, env, { escape: '\\', ignoreQuotes: true }));
}

/** An environment over a Map: what expansions see. */
export function mapEnvironment(variables: ReadonlyMap<string, string>): Environment {
  return { get: (name) => variables.get(name), names: () => variables.keys() };
}
