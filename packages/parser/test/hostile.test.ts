import assert from 'node:assert/strict';
import * as fc from 'fast-check';
import { StrakeError } from '@strake/core';
import {
  checkDockerfile,
  createExpander,
  createPatternMatcher,
  goMatch,
  mapEnvironment,
  outline,
  parseDockerfile,
  parseIgnoreFile,
  parseMount,
  parsePorts,
} from '../src/index.js';

/** Runs TASK, which may fail with a StrakeError and nothing else, within LIMIT milliseconds. */
function contained(task: () => unknown, limit = 5000): void {
  const start = performance.now();
  try {
    task();
  } catch (error) {
    assert.ok(error instanceof StrakeError, String(error instanceof Error ? error.stack : error));
    assert.ok(error.message.length < 2000, 'the message is short');
  }
  assert.ok(performance.now() - start < limit, `took ${performance.now() - start} ms`);
}

const env = mapEnvironment(new Map([['A', 'a'.repeat(65000)]]));
const expander = createExpander('\\');

describe('hostile input', function () {
  this.timeout(60_000);

  const dockerfiles: Record<string, string> = {
    'a line of 10 MB': `LABEL x=${'y'.repeat(1e7)}`,
    'an instruction of 60 kB': 'X'.repeat(6e4),
    '300,000 continuations': `LABEL x=y${' \\\n'.repeat(300_000)}`,
    'blanks before a continuation': `LABEL x=y${' '.repeat(6e4)}\\`,
    brackets: `CMD ${'['.repeat(6e4)}`,
    'a heredoc after many blanks': `RUN <<${' '.repeat(6e4)}<`,
    'many heredocs': `RUN ${'<<'.repeat(3e4)}`,
    'ONBUILD of ONBUILD': `${'ONBUILD \\\n'.repeat(1e5)}RUN x`,
    '100,000 instructions': Array.from({ length: 1e5 }, (_, i) => `LABEL l${i}=$x${i}`).join('\n'),
    '20,000 stages': Array.from({ length: 2e4 }, (_, i) => `FROM busybox AS s${i}`).join('\n'),
    'a chain of stages': Array.from(
      { length: 5000 },
      (_, i) => `FROM ${i === 0 ? 'x' : `s${i - 1}`} AS s${i}\nENV A${i}=1`,
    ).join('\n'),
    'a variable that doubles': `ENV A=aaaaaaaaaaaaaaaa\n${'ENV A=$A$A\n'.repeat(60)}`,
    'names of object members':
      'ARG __proto__=1\nENV constructor=$__proto__ valueOf=$toString\nCOPY --from=hasOwnProperty a b',
  };
  for (const [name, text] of Object.entries(dockerfiles)) {
    it(name, () => {
      contained(() => {
        const dockerfile = parseDockerfile(`FROM busybox\n${text}\n`);
        checkDockerfile(dockerfile);
        outline(dockerfile);
      }, 20_000);
    });
  }

  it('nested variables', () => contained(() => expander.expandWord('${a:-'.repeat(200_000), env)));
  it('patterns of variables', () => {
    contained(() => expander.expandWord(`\${A#${'*a'.repeat(1000)}*b}`, env));
    contained(() => expander.expandWord(`\${A//${'a*'.repeat(100)}b/x}`, env));
    contained(() => expander.expandWord(`\${A//${'a'.repeat(20_000)}b/x}`, env));
  });
  it('values that grow', () => contained(() => expander.expandWord('"$A"'.repeat(10_000), env)));
  it('ports', () => contained(() => parsePorts(Array<string>(5000).fill('0-65535'))));
  it('ports of a variable that is a range, again and again', () =>
    contained(() => checkDockerfile(parseDockerfile(`FROM a\nENV A=1-65535\nEXPOSE ${'$A '.repeat(3000)}`))));
  it('patterns of paths', () => {
    for (const pattern of ['*a*a*a*a*a*a*b', '**/a/**/a/**/b', '[a-z]*[a-z]*[a-z]*[a-z]*0', 'a*'.repeat(500)]) {
      contained(() => createPatternMatcher([pattern]).matches('a'.repeat(4000)));
      contained(() => goMatch(pattern, 'a'.repeat(4000)));
    }
  });

  const piece = fc.oneof(
    fc.constantFrom(
      ...['FROM a', 'RUN ', 'COPY ', 'ENV ', 'LABEL ', 'ARG ', 'HEALTHCHECK ', 'CMD', 'ONBUILD ', 'EXPOSE ', 'SHELL '],
      ...[
        '\n',
        '\\\n',
        '\r\n',
        '# check=',
        '# escape=`\n',
        '`\n',
        '<<EOF',
        '\nEOF\n',
        '<<-',
        '--mount=type=',
        'secret,id=x',
      ],
      ...[
        '${',
        '}',
        '$x',
        ':-',
        '//',
        '%%',
        '"',
        "'",
        '\\',
        '[',
        ']',
        '*',
        '?',
        ',',
        '=',
        ' ',
        '\t',
        '--',
        '--from=',
        ' AS x',
      ],
    ),
    fc.string({ maxLength: 5 }),
    fc.string({ unit: 'binary', maxLength: 3 }),
  );
  const soup = fc.array(piece, { maxLength: 40 }).map((pieces) => pieces.join(''));

  it('parsing and checking throw nothing but StrakeError (CVE-2024-23650, CVE-2026-33747)', () => {
    fc.assert(
      fc.property(soup, fc.boolean(), (text, begun) => {
        contained(() => {
          const dockerfile = parseDockerfile(begun ? `FROM a AS x\n${text}` : text);
          checkDockerfile(dockerfile, { ignorePatterns: ['a', '!b'] });
          outline(dockerfile);
        });
      }),
      { numRuns: 500 },
    );
  });

  it('expanding throws nothing but StrakeError, and leaves plain text alone', () => {
    fc.assert(
      fc.property(soup, (text) => contained(() => expander.expandWord(text, env))),
      { numRuns: 500 },
    );
    fc.assert(
      fc.property(fc.stringMatching(/^[^\\$"'\uFEFF]*$/), (text) => expander.expandWord(text, env).text === text),
    );
  });

  it('quoting protects any text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        assert.equal(expander.expandWord(`"${text.replace(/["$\\]/g, '\\$&')}"`, env).text, text);
      }),
    );
  });

  it('mounts, ignore files and patterns throw nothing but StrakeError', () => {
    fc.assert(
      fc.property(soup, soup, (a, b) => {
        contained(() => parseMount(a, (word) => word));
        contained(() => createPatternMatcher(parseIgnoreFile(a)).matches(b));
        contained(() => goMatch(a, b));
      }),
      { numRuns: 500 },
    );
  });

  it('the quick and the careful matcher agree', () => {
    const part = fc.constantFrom('*', '**', '?', 'a', 'b', '/', '.', 'ab');
    const path = fc
      .array(fc.constantFrom('a', 'b', '.', '/'), { minLength: 1, maxLength: 8 })
      .map((parts) => parts.join(''));
    fc.assert(
      fc.property(fc.array(part, { minLength: 1, maxLength: 5 }), path, (parts, name) => {
        const pattern = parts.join('');
        // Of these two classes only the first is left to RegExp; no path has a dash.
        const quick = pattern.replaceAll('a', '[a]');
        const careful = pattern.replaceAll('a', '[a\\-]');
        assert.equal(createPatternMatcher([quick]).matches(name), createPatternMatcher([careful]).matches(name));
      }),
      { numRuns: 500 },
    );
  });

  it('a pattern that is too long to be an expression of the engine matches all the same', () => {
    for (const length of [4_000, 50_000, 500_000]) {
      for (const [pattern, name] of [
        ['?'.repeat(length), 'b'.repeat(length)],
        [`${'a'.repeat(length)}?`, `${'a'.repeat(length)}b`],
        ['[ab]'.repeat(length), 'ab'.repeat(length / 2)],
      ] as const) {
        const matcher = createPatternMatcher([pattern]);
        assert.deepEqual(
          [matcher.matches(name), matcher.matches('f'), matcher.matches(`${name}b`)],
          [true, false, false],
        );
      }
    }
  });

  it('as many patterns as an ignore file may have', () => {
    const matcher = createPatternMatcher(Array.from({ length: 100_000 }, (_, i) => `x${i}/**/y*`));
    contained(() => {
      for (let i = 0; i < 100; i++) {
        const folder = matcher.matchDirectory(`a${i}`, undefined);
        assert.equal(matcher.matchesIn(`a${i}/${'a'.repeat(100)}`, folder), false);
      }
      assert.equal(matcher.matches('x99999/a/b/yes'), true);
    }, 30_000);
  });

  it('an ignore file of a million patterns is refused, before any of them is made an expression', () => {
    const text = Array.from({ length: 1_000_000 }, (_, i) => `x${i}/**/y*`).join('\n');
    assert.throws(() => parseIgnoreFile(text), /too many patterns: the limit is 100000/);
    assert.equal(parseIgnoreFile(text.slice(0, text.indexOf('x100000/'))).length, 100_000);
  });
});
