import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { StrakeError } from '@strake/core';
import { createExpander, createPatternMatcher, dumpTree, mapEnvironment, parseDockerfile } from '../src/index.js';
import { readJson, sharedFolder } from './shared.js';

const shared = sharedFolder();
const corpora = join(shared ?? '', 'corpora');

describe('shared corpora', function () {
  before(function () {
    if (!shared) this.skip();
  });

  it('trees', () => {
    const folder = join(corpora, 'parser', 'testfiles');
    for (const name of readdirSync(folder)) {
      const text = readFileSync(join(folder, name, 'Dockerfile'), 'utf8');
      assert.equal(dumpTree(text).text, readFileSync(join(folder, name, 'result'), 'utf8'), name);
    }
  });

  it('line numbers', () => {
    const tree = dumpTree(readFileSync(join(corpora, 'parser', 'testfile-line', 'Dockerfile'), 'utf8'));
    assert.deepEqual(tree.lines, [5, 31]);
    assert.deepEqual(tree.instructions, [
      [5, 5],
      [11, 12],
      [17, 31],
    ]);
  });

  it('files that must not parse', () => {
    const folder = join(corpora, 'parser', 'testfiles-negative');
    for (const name of readdirSync(folder)) {
      const text = readFileSync(join(folder, name, 'Dockerfile'), 'utf8');
      assert.throws(() => parseDockerfile(text), StrakeError, name);
    }
  });

  it('words', () => {
    interface Words {
      env: Record<string, string>;
      cases: { word: string; result: string | null }[];
    }
    const { env, cases } = readJson(join(corpora, 'shell-words.json')) as Words;
    const expander = createExpander('\\');
    for (const { word, result } of cases) {
      const run = (): string => expander.expandWord(word, mapEnvironment(new Map(Object.entries(env)))).text;
      if (result === null) assert.throws(run, StrakeError, word);
      else assert.equal(run(), result, word);
    }
  });

  it('splitting into words', () => {
    interface Split {
      cases: { env: Record<string, string>; text: string; words: string[] | null }[];
    }
    const expander = createExpander('\\');
    for (const { env, text, words } of (readJson(join(corpora, 'shell-split.json')) as Split).cases) {
      const run = (): readonly string[] =>
        expander.expandWords(text, mapEnvironment(new Map(Object.entries(env)))).words;
      if (words === null) assert.throws(run, StrakeError, text);
      else assert.deepEqual(run(), words, text);
    }
  });

  it('ignore patterns', () => {
    interface Patterns {
      cases: { patterns: string[]; path: string; match: boolean; badPattern?: boolean }[];
    }
    for (const { patterns, path, match, badPattern } of (readJson(join(corpora, 'ignore-patterns.json')) as Patterns)
      .cases) {
      const what = JSON.stringify([patterns, path]);
      const run = (): boolean => createPatternMatcher(patterns).matches(path);
      const walk = (): boolean => createPatternMatcher(patterns).matchDirectory(path, undefined).matched;
      for (const test of [run, walk]) {
        if (badPattern) assert.throws(test, StrakeError, what);
        else assert.equal(test(), match, what);
      }
    }
  });
});
