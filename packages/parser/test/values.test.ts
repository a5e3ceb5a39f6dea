import assert from 'node:assert/strict';
import { isStrakeError } from '@strake/core';
import {
  isSignal,
  parseDockerfile,
  parseMode,
  parseOwner,
  parsePorts,
  runScript,
  type RunInstruction,
} from '../src/index.js';
import { parseDuration } from '../src/duration.js';

describe('parsePorts', () => {
  it('ports, ranges, protocols', () => {
    assert.deepEqual(parsePorts(['80', '81-82/UDP', '0', '9/sctp', '127.0.0.1:80:90', '[::1]:1:2', '5:6', '+7']), [
      '80/tcp',
      '81/udp',
      '82/udp',
      '0/tcp',
      '9/sctp',
      '90/tcp',
      '2/tcp',
      '6/tcp',
      '7/tcp',
    ]);
  });
  for (const word of ['', '/tcp', '80/icmp', '70000', '90-80', 'a', '1-', '1.2.3:1:2', '1-2:3-5', '::', '-1', '8 0']) {
    it(`"${word}" is an error`, () => {
      assert.throws(
        () => parsePorts([word]),
        (e) => isStrakeError(e, 'PORT_INVALID'),
      );
    });
  }
  it('a half of a range that is missing is told with the whole', () => {
    for (const word of ['-1', '80-'])
      assert.throws(() => parsePorts([word]), { message: `invalid containerPort: ${word}` });
  });
});

describe('isSignal', () => {
  it('names and numbers', () => {
    for (const signal of ['SIGTERM', 'term', 'sigkill', '9', '99', 'RTMIN+15', 'SIGRTMAX-14'])
      assert.ok(isSignal(signal), signal);
    for (const signal of ['', '0', 'TERMINATE', 'RTMIN+16', 'RTMAX-15', '1.5']) assert.ok(!isSignal(signal), signal);
  });
});

describe('parseMode', () => {
  const apply = (text: string, mode: number, directory = false): string => {
    const result = parseMode(text);
    return (typeof result === 'number' ? result : result(mode, directory)).toString(8);
  };
  it('octal', () =>
    assert.deepEqual(
      ['755', '04755', '7'].map((text) => apply(text, 0)),
      ['755', '4755', '7'],
    ));
  it('symbolic', () => {
    const rows: readonly (readonly [string, number, string, boolean?])[] = [
      ['u+x', 0o644, '744'],
      ['a=rx', 0o644, '555'],
      ['=r', 0o7777, '1444'],
      ['go-rwx,u+s', 0o755, '4700'],
      ['u=rwX,g=rX', 0o600, '640'],
      ['u=rwX,g=rX', 0o600, '750', true],
      ['a+X', 0o640, '640'],
      ['a+X', 0o740, '751'],
      ['+t', 0o755, '1755'],
      ['o+t', 0o755, '755'],
      ['g=u', 0o741, '771'],
      ['g+u-w', 0o741, '751'],
      ['o=', 0o777, '770'],
      ['u-x+s', 0o700, '4600'],
    ];
    for (const [text, mode, wanted, directory] of rows) assert.equal(apply(text, mode, directory), wanted, text);
  });
  for (const text of ['', '8', '10000', 'u', 'u+,', 'z+x', 'u+q', '0o7']) {
    it(`"${text}" is an error`, () => {
      assert.throws(
        () => parseMode(text),
        (e) => isStrakeError(e, 'MODE_INVALID'),
      );
    });
  }
});

describe('parseOwner', () => {
  it('numbers and names', () => {
    assert.deepEqual(parseOwner('1:2'), { user: { id: 1 }, group: { id: 2 } });
    assert.deepEqual(parseOwner('root'), { user: { id: 0 }, group: undefined });
    assert.deepEqual(parseOwner('+7:-2'), { user: { id: 7 }, group: { id: 2 ** 32 - 2 } });
    assert.deepEqual(parseOwner('-1:2147483648'), { user: { id: 0 }, group: { name: '2147483648' } });
    assert.deepEqual(parseOwner(':wheel'), { user: { name: '' }, group: { name: 'wheel' } });
    assert.deepEqual(parseOwner('99999999999:a:b'), { user: { name: '99999999999' }, group: { name: 'a:b' } });
  });
});

describe('parseDuration', () => {
  it('in nanoseconds', () => {
    assert.deepEqual(
      ['1h1m1.5s', '300ms', '0', '1us', '-2s', '.5s'].map(parseDuration),
      [3661.5e9, 3e8, 0, 1000, -2e9, 5e8],
    );
  });
  for (const text of ['', '1', 's', '1x', '1.2.3s', '9999999999h']) {
    it(`"${text}" is an error`, () => {
      assert.throws(
        () => parseDuration(text),
        (e) => isStrakeError(e, 'PARSE_ARGUMENTS'),
      );
    });
  }
});

describe('runScript', () => {
  const scriptOf = (lines: string): ReturnType<typeof runScript> =>
    runScript((parseDockerfile(`FROM a\n${lines}`).stages[0]?.instructions[0] as RunInstruction).command);
  it('a line', () => assert.equal(scriptOf('RUN a  b').text, 'a  b'));
  it('a heredoc alone', () => {
    assert.deepEqual(scriptOf('RUN <<-"EOF"\n\ta\n\tb\nEOF\n'), { text: 'a\nb\n', file: undefined, summary: 'a...' });
  });
  it('a script', () => {
    const file = { name: 'EOF', content: '#!/bin/x\n' };
    assert.deepEqual(scriptOf('RUN <<EOF\n#!/bin/x\nEOF\n'), { text: '/dev/pipes/EOF', file, summary: '#!/bin/x' });
  });
  it('heredocs for a command', () => {
    assert.equal(scriptOf('RUN cat <<-a <<b\n\tx\n\ta\ny\nb\n').text, 'cat <<-a <<b\n\tx\na\ny\nb');
  });
});
