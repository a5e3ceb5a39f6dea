import assert from 'node:assert/strict';
import { isStrakeError } from '@strake/core';
import { createExpander, expandHeredoc, mapEnvironment } from '../src/index.js';

const env = mapEnvironment(
  new Map([
    ['V', 'abcabc'],
    ['PATHS', '/a/b/c.tar.gz'],
    ['EMPTY', ''],
    ['LINES', 'ab\ncb'],
    ['UNI', 'äöü'],
    ['DOLLAR', '$0-$x-$$'],
  ]),
);
const expander = createExpander('\\');

describe('expansion', () => {
  const words: readonly (readonly [string, string])[] = [
    ['${V#a}', 'bcabc'],
    ['${V#*c}', 'abc'],
    ['${V##*b}', 'c'],
    ['${V%b*}', 'abca'],
    ['${V%%b*}', 'a'],
    ['${V%x}', 'abcabc'],
    ['${PATHS##*/}', 'c.tar.gz'],
    ['${PATHS%%.*}', '/a/b/c'],
    ['${V/b/X}', 'aXcabc'],
    ['${V//b/X}', 'aXcaXc'],
    ['${V//b*/X}', 'aX'],
    ['${V/?/[X]}', '[X]bcabc'],
    ['${V//x*/-}', 'abcabc'],
    ['${V///-}', '-a-b-c-a-b-c-'],
    ['${V//*/-}', '-'],
    ['${V/a[b]/x}', 'abcabc'],
    ['${LINES//b*/X}', 'aX\ncX'],
    ['${LINES%%*}', 'ab\n'],
    ['${UNI#?}', 'öü'],
    ['${UNI%?}', 'äö'],
    ['${V//a/$DOLLAR}', 'a--$bca--$bc'],
    ['${V/a/$DOLLAR}', '$0-$x-$$bcabc'],
    ['${EMPTY:-x}${EMPTY-y}${NONE-z}', 'xz'],
    ['${EMPTY:+x}${EMPTY+y}${NONE+z}', 'y'],
    ['"${NONE:-\'$V\'}"', '$V'],
    ['$äö-$V', '-abcabc'],
    ["a'b\"c'd", 'ab"cd'],
    ['\\$V \\a', '$V a'],
    ['$', '$'],
    ['a<b << c', 'a<b << c'],
  ];
  for (const [word, wanted] of words) {
    it(word, () => assert.equal(expander.expandWord(word, env).text, wanted));
  }

  for (const word of [
    '${V:=x}',
    '${V:#x}',
    '${V/b}',
    '${V:1}',
    '${V',
    '${',
    '${}',
    '"a',
    "'a",
    '${V#\\a}',
    "${NONE:-it's}",
    '${V!x}',
  ]) {
    it(`${word} is an error`, () => {
      assert.throws(
        () => expander.expandWord(word, env),
        (error) => isStrakeError(error, 'EXPAND_SYNTAX'),
      );
    });
  }

  it('a required variable', () => {
    for (const [word, message] of [
      ['${NONE:?give it}', 'NONE: give it'],
      ['${NONE?}', 'NONE: is not allowed to be unset'],
      ['${EMPTY:?}', 'EMPTY: is not allowed to be empty'],
      ['${V:-${NONE:?always}}', 'NONE: always'],
    ] as const) {
      assert.throws(
        () => expander.expandWord(word, env),
        (error) => isStrakeError(error, 'EXPAND_REQUIRED') && error.message.includes(message),
      );
    }
  });

  it('tells which variables are used', () => {
    const { matched, unmatched } = expander.expandWord('$V ${NONE:-$OTHER} $V', env);
    assert.deepEqual([matched, unmatched], [['V'], ['OTHER', 'NONE']]);
  });

  it('splits words as EXPOSE does, losing what stands before an operand', () => {
    const ports = mapEnvironment(new Map([['LIST', ' 1  2 ']]));
    assert.deepEqual(expander.expandWords('80 $LIST "$LIST"', ports).words, ['80', '1', '2', ' 1  2 ']);
    assert.deepEqual(expander.expandWords('${A:-1}-${B:-2}', ports).words, ['2']);
  });

  it('the bodies of heredocs keep quotes and lose backslashes', () => {
    assert.equal(expandHeredoc('"$V" \'$V\' \\$V \\n \\\\ \\\nx', env).text, '"abcabc" \'abcabc\' $V n \\ \nx');
  });

  it('step names', () => {
    assert.equal(
      expander.expandForDisplay('RUN echo "$V" $NONE ${NONE:-x} ${V', env, { run: true }),
      'RUN echo "$V" $NONE ${NONE:-x} ${V',
    );
    assert.equal(expander.expandForDisplay('RUN echo "$V" $NONE', env, { run: true }), 'RUN echo "abcabc" $NONE');
    assert.equal(expander.expandForDisplay('COPY "$V" $NONE /', env), 'COPY abcabc  /');
  });

  it('has an end where many words are a long variable', () => {
    const long = mapEnvironment(new Map([['A', 'x'.repeat(60_000)]]));
    const once = createExpander('\\');
    assert.throws(
      () => {
        for (let i = 0; i < 20_000; i++) once.expandWord('$A', long);
      },
      { code: 'EXPAND_TOO_LARGE', message: /come to more than 67108864 characters/ },
    );
  });

  it('a backtick as escape character', () => {
    assert.equal(createExpander('`').expandWord('`$V \\$V "a`"b`c"', env).text, '$V \\abcabc a"b`c');
  });
});
