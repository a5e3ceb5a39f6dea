import assert from 'node:assert/strict';
import { isStrakeError } from '@strake/core';
import { createPatternMatcher, goMatch, parseIgnoreFile } from '../src/index.js';

describe('parseIgnoreFile', () => {
  it('cleans, trims, drops comments and leading slashes', () => {
    const text = '\uFEFF# comment\r\n  a/../b/  \r\n\n #no comment\n/c\n! /d//e/\n!\n/\n';
    assert.deepEqual(parseIgnoreFile(text), ['b', '#no comment', 'c', '!d/e', '!', '/']);
  });
});

describe('pattern matcher', () => {
  const rows: readonly (readonly [string[], string, boolean])[] = [
    [['a'], 'a/b/c', true],
    [['docs', '!docs/README.md'], 'docs/README.md', false],
    [['docs', '!docs/README.md'], 'docs/other', true],
    [['!a', 'a'], 'a', true],
    [['**/x'], 'a/b/x/y', true],
    [['a/**'], 'a', false],
    [['a**'], 'ab/c', true],
    [['*.py[cod]'], 'x.pyc', true],
    [['*.py[^cod]'], 'x.pyc', false],
    [['[^b]'], '/', true],
    [['[[:digit:]]x'], '7x', true],
    [['a\\*'], 'a*', true],
    [['\\d'], '5', true],
    [['a.b'], 'axb', false],
    [['a^b'], 'a^b', true],
    [['a^b*'], 'a^b', false],
    [['**/a/**/b/**/c'], 'x/a/y/z/b/c', true],
    [['*a*b*c*d'], 'xaxbxcxd', true],
    [['*a*b*c*d'], 'xaxb/cxd', false],
    [['a?c'], 'a/c', false],
    [['日*'], '日本', true],
  ];
  for (const [patterns, path, wanted] of rows) {
    it(`${JSON.stringify(patterns)} ${wanted ? 'matches' : 'does not match'} ${path}`, () => {
      assert.equal(createPatternMatcher(patterns).matches(path), wanted);
    });
  }

  it('bad patterns', () => {
    for (const pattern of ['[', 'a[', '[]a]', '[-x]', '\\', '!', '*'.repeat(1) + 'a*'.repeat(150)]) {
      assert.throws(
        () => createPatternMatcher([pattern]).matches('x'),
        (e) => isStrakeError(e, 'PATTERN_INVALID'),
      );
    }
    // Passes the first check, and is an error as soon as something is matched with it.
    const late = createPatternMatcher(['[Local-Only]/x']);
    assert.throws(
      () => late.matches('x'),
      (e) => isStrakeError(e, 'PATTERN_INVALID'),
    );
  });

  it('carries the match of the parents in a walk', () => {
    const matcher = createPatternMatcher(['a', '!a/b', 'a/b/c']);
    const a = matcher.matchDirectory('a', undefined);
    const b = matcher.matchDirectory('a/b', a);
    assert.deepEqual([a.matched, b.matched], [true, false]);
    assert.equal(matcher.matchesIn('a/x', a), true);
    assert.equal(matcher.matchesIn('a/b/x', b), false);
    assert.equal(matcher.matchesIn('a/b/c', b), true);
  });

  it('says which ignored folders must be walked', () => {
    assert.equal(createPatternMatcher(['a']).mayContainIncluded('a'), false);
    const literal = createPatternMatcher(['*', '!a/b', '!c/**']);
    assert.equal(literal.mayContainIncluded('a'), true);
    assert.equal(literal.mayContainIncluded('ab'), false);
    assert.equal(literal.mayContainIncluded('c'), true);
    assert.equal(literal.hasExceptions, true);
    assert.equal(createPatternMatcher(['a', '!*/sub']).mayContainIncluded('a'), true);
  });
});

describe('goMatch', () => {
  const rows: readonly (readonly [string, string, boolean])[] = [
    ['abc', 'abc', true],
    ['*', 'a/b', false],
    ['a*/b', 'ax/b', true],
    ['a*b*c', 'axxbyyc', true],
    ['a*b*c', 'axxc', false],
    ['*c', 'abc', true],
    ['*x*', 'x', true],
    ['a?c', 'a/c', false],
    ['a[/]c', 'a/c', true],
    ['[^a-c]', 'd', true],
    ['[a-c]', 'é', false],
    ['a\\*b', 'a*b', true],
    ['', '', true],
    ['*', '', true],
    ['a*a', 'a', false],
  ];
  for (const [pattern, name, wanted] of rows) {
    it(`${pattern} ${name}`, () => assert.equal(goMatch(pattern, name), wanted));
  }
  it('bad patterns, wherever the mistake is', () => {
    for (const pattern of ['[', 'x[', '[a', '[]', 'a\\', '[a-]', 'z[-a]']) {
      assert.throws(
        () => goMatch(pattern, 'q'),
        (e) => isStrakeError(e, 'PATTERN_INVALID'),
      );
    }
  });
});
