import assert from 'node:assert/strict';
import { isStrakeError } from '@strake/core';
import { ignoredFlags, parse, type Flag } from '../src/args/parse.js';
import { byteSize, csvFields, pairs } from '../src/args/values.js';

const FLAGS: readonly Flag[] = [
  { name: 'tag', short: 't', kind: 'list' },
  { name: 'file', short: 'f', kind: 'string', value: 'FILE' },
  { name: 'quiet', short: 'q', kind: 'boolean' },
  { name: 'pull', kind: 'boolean' },
  { name: 'memory', short: 'm', kind: 'string', ignored: 'steps are not limited' },
  { name: 'sbom', kind: 'string', ignored: 'none is made', silent: ['false'] },
];

function usageError(argv: string[]): { message: string; hint: string | undefined } {
  try {
    parse(argv, FLAGS);
  } catch (error) {
    assert.ok(isStrakeError(error, 'USAGE'));
    return { message: error.message, hint: error.hint };
  }
  return assert.fail('not refused');
}

describe('arguments', () => {
  it('takes flags in all spellings, before and behind positional ones', () => {
    const args = parse(['-t', 'a', 'context', '--tag=b', '-tc', '-t=d', '--tag', 'e', '-qf', 'F'], FLAGS);
    assert.deepEqual(args.list('tag'), ['a', 'b', 'c', 'd', 'e']);
    assert.equal(args.string('file'), 'F');
    assert.equal(args.boolean('quiet'), true);
    assert.deepEqual(args.positionals, ['context']);
  });

  it('takes what follows -- and a single - as positional', () => {
    assert.deepEqual(parse(['-', '--', '-t', '--no'], FLAGS).positionals, ['-', '-t', '--no']);
  });

  it('takes a value that looks like a flag', () => {
    assert.equal(parse(['-f', '-'], FLAGS).string('file'), '-');
    assert.deepEqual(parse(['--tag', '--quiet'], FLAGS).list('tag'), ['--quiet']);
  });

  it('reads switches as Go does', () => {
    assert.equal(parse(['--pull=false'], FLAGS).boolean('pull'), false);
    assert.equal(parse(['--pull=1', '--pull=T'], FLAGS).boolean('pull'), true);
    assert.match(usageError(['--pull=maybe']).message, /--pull.*maybe/);
  });

  it('says which flag is unknown and which may be meant', () => {
    assert.deepEqual(usageError(['--tagg', 'x']), { message: 'unknown flag --tagg', hint: 'Did you mean --tag?' });
    assert.deepEqual(usageError(['-qx']), { message: 'unknown flag -x', hint: undefined });
    assert.match(usageError(['--__proto__']).message, /unknown flag --__proto__/);
  });

  it('says which flag lacks its value', () => {
    assert.equal(usageError(['x', '--file']).message, '--file needs a value (FILE)');
  });

  it('leaves what follows the first positional one alone where asked', () => {
    const args = parse(['-q', 'image', '-t', '--', 'x'], FLAGS, { stopAtPositional: true });
    assert.deepEqual(args.positionals, ['image', '-t', '--', 'x']);
    assert.equal(args.boolean('quiet'), true);
    assert.deepEqual(parse(['--', 'image', '-t'], FLAGS, { stopAtPositional: true }).positionals, ['image', '-t']);
  });

  it('warns of flags without effect, but not where they ask for what happens anyway', () => {
    assert.deepEqual(ignoredFlags(parse(['-m', '1g', '--sbom=false'], FLAGS), FLAGS), [
      '--memory does nothing here: steps are not limited',
    ]);
  });
});

describe('values of flags', () => {
  it('reads CSV with quotes', () => {
    assert.deepEqual(csvFields('a=1,"b=2,3","c=""4"""', '--x'), ['a=1', 'b=2,3', 'c="4"']);
    assert.deepEqual(csvFields('', '--x'), ['']);
    assert.deepEqual(csvFields('a,', '--x'), ['a', '']);
    for (const bad of ['"a', '"a"b', '"a""']) {
      assert.throws(
        () => csvFields(bad, '--x'),
        (error) => isStrakeError(error, 'USAGE'),
      );
    }
  });

  it('keeps every name as a name', () => {
    const record = pairs(['__proto__=x', 'constructor=y', 'a=b=c', 'e='], '--label', () => '');
    assert.deepEqual(Object.entries(record), [
      ['__proto__', 'x'],
      ['constructor', 'y'],
      ['a', 'b=c'],
      ['e', ''],
    ]);
  });

  it('reads sizes', () => {
    assert.equal(byteSize('64m', '--x'), 64 << 20);
    assert.equal(byteSize('1.5GiB', '--x'), 1.5 * 2 ** 30);
    assert.equal(byteSize('1024', '--x'), 1024);
    for (const bad of ['', '-1', '1x', 'm', '99999999p', '1e3']) {
      assert.throws(
        () => byteSize(bad, '--x'),
        (error) => isStrakeError(error, 'USAGE'),
      );
    }
  });
});
