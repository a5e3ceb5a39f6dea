import assert from 'node:assert/strict';
import { StrakeError } from '@strake/core';
import { describeError } from '../src/print/error.js';

const SOURCE = 'FROM busybox\nWORKDIR /src\nRUN make \\\n  all\nCMD ["x"]\n';

describe('printed errors', () => {
  it('says what failed, where, the last output and what to do', () => {
    const error = new StrakeError({
      code: 'STEP_FAILED',
      message: 'the command "make" failed with exit code 2',
      step: '[3/3] RUN make all',
      location: { file: 'Dockerfile', line: 3, endLine: 4, source: SOURCE },
      outputTail: 'cc: no such file\n\u001b[2Jmake: *** [all] Error 1\n',
      hint: 'Look at the output above.',
      exitCode: 2,
    });
    assert.equal(
      describeError(error, { debug: false }),
      [
        'error: the command "make" failed with exit code 2',
        '  in step [3/3] RUN make all',
        '',
        'Dockerfile:3',
        '   1 |     FROM busybox',
        '   2 |     WORKDIR /src',
        '   3 | >>> RUN make \\',
        '   4 | >>>   all',
        '   5 |     CMD ["x"]',
        '',
        "last lines of the step's output:",
        '  | cc: no such file',
        '  | make: *** [all] Error 1',
        '',
        'hint: Look at the output above.',
        '',
      ].join('\n'),
    );
  });

  it('points at the word', () => {
    const error = new StrakeError({
      code: 'UNKNOWN',
      message: 'unknown flag --chon',
      location: { file: 'Dockerfile', line: 2, column: 6, source: 'FROM a\nCOPY --chon=x a b' },
    });
    assert.match(describeError(error, { debug: false }), / {3}2 \| >>> COPY --chon=x a b\n {5}\| {10}\^\n$/);
  });

  it('cuts long lines and long instructions short', () => {
    const source = Array.from({ length: 100 }, () => 'x'.repeat(10_000)).join('\n');
    const location = { file: 'Dockerfile', line: 10, endLine: 90, source };
    const text = describeError(new StrakeError({ code: 'X', message: 'no', location }), { debug: false });
    assert.ok(text.length < 5000);
    assert.equal(text.match(/>>>/g)?.length, 12);
  });

  it('calls everything else a bug, without a stack trace', () => {
    const text = describeError(new TypeError('x is not a function'), { debug: false });
    assert.match(text, /this is a bug in strake: x is not a function\nhint: .*STRAKE_DEBUG=1/);
    assert.doesNotMatch(text, /\n\s+at /);
    assert.match(describeError(new TypeError('x'), { debug: true }), /\n\s+at /);
    assert.match(describeError('text', { debug: false }), /bug in strake: text/);
  });

  it('blames the limit of open files, not what could not be opened', () => {
    const few = Object.assign(new Error('EMFILE: too many open files'), { code: 'EMFILE' });
    const blamed = new StrakeError({
      code: 'LAYOUT_INVALID',
      message: 'no layout',
      hint: 'Name a layout.',
      cause: few,
    });
    assert.equal(
      describeError(blamed, { debug: false }),
      'error: no layout\nhint: Raise the limit of open files: ulimit -n 4096.\n',
    );
  });

  it('tells a full disk from a bug', () => {
    const full = Object.assign(new Error("ENOSPC: no space left on device, write '/var/x'"), { code: 'ENOSPC' });
    assert.match(describeError(full, { debug: false }), /^error: ENOSPC: no space left.*\nhint: Free some space/);
  });

  it('says only that it was cancelled where it was', () => {
    assert.equal(describeError(new Error('socket closed'), { debug: false, cancelled: true }), 'cancelled\n');
    assert.equal(describeError(new StrakeError({ code: 'CANCELLED', message: 'x' }), { debug: false }), 'cancelled\n');
  });

  it('cuts what is megabytes long', () => {
    const long = 'x'.repeat(1 << 20);
    for (const error of [
      new StrakeError({ code: 'STEP_FAILED', message: long, hint: long, step: long }),
      new Error(long),
    ]) {
      assert.ok(describeError(error, { debug: false }).length < 50_000);
    }
    const named = new StrakeError({ code: 'SOURCE_NOT_FOUND', message: `"${long}": not found in the context` });
    assert.match(describeError(named, { debug: false }), /^error: "x+…x+": not found in the context\n/);
  });
});
