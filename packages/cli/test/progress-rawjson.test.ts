import assert from 'node:assert/strict';
import { digestOf } from '@strake/core';
import { RawJsonRenderer } from '../src/progress/rawjson.js';
import { of } from './support.js';

const a = of('a');

function lines(text: string): unknown[] {
  return text
    .trimEnd()
    .split('\n')
    .map((line): unknown => JSON.parse(line));
}

describe('rawjson progress', () => {
  it("is BuildKit's SolveStatus", () => {
    const renderer = new RawJsonRenderer();
    const digest = digestOf('a');
    const text = [
      renderer.event({ type: 'step', id: 'a', name: 'RUN x', inputs: ['b'] }),
      renderer.event(a.started(1000)),
      renderer.event(a.output(1500, 'hi\n', 'stderr')),
      renderer.event({ type: 'progress', id: 'a', time: 1600, action: 'pulling', subject: 'x', current: 1, total: 2 }),
      renderer.event({
        type: 'progress',
        id: 'a',
        time: 1700,
        action: 'pulling',
        subject: 'x',
        current: 2,
        done: true,
      }),
      renderer.event(a.finished(2000, 'exit code: 1')),
      renderer.event({
        type: 'warning',
        rule: 'StageNameCasing',
        message: 'no capitals',
        description: 'in general',
        url: 'https://e/',
        location: { file: 'Dockerfile', line: 3 },
      }),
    ].join('');
    const at = (seconds: string): string => `1970-01-01T00:00:0${seconds}Z`;
    const vertex = { digest, inputs: [digestOf('b')], name: 'RUN x' };
    const base64 = (value: string): string => Buffer.from(value).toString('base64');
    assert.deepEqual(lines(text), [
      { vertexes: [vertex] },
      { vertexes: [{ ...vertex, started: at('1.000') }] },
      { logs: [{ vertex: digest, stream: 2, data: base64('hi\n'), timestamp: at('1.500') }] },
      {
        statuses: [
          { id: 'pulling x', vertex: digest, total: 2, current: 1, timestamp: at('1.600'), started: at('1.600') },
        ],
      },
      {
        statuses: [
          {
            id: 'pulling x',
            vertex: digest,
            current: 2,
            timestamp: at('1.700'),
            started: at('1.600'),
            completed: at('1.700'),
          },
        ],
      },
      { vertexes: [{ ...vertex, started: at('1.000'), completed: at('2.000'), error: 'exit code: 1' }] },
      {
        warnings: [
          {
            level: 1,
            short: base64('StageNameCasing: no capitals (line 3)'),
            detail: [base64('in general')],
            url: 'https://e/',
            sourceInfo: { filename: 'Dockerfile' },
            range: [{ start: { line: 3, character: 0 }, end: { line: 3, character: 0 } }],
          },
        ],
      },
    ]);
  });

  it('marks cached steps', () => {
    const [status] = lines(new RawJsonRenderer().event(a.cached(1000))) as [
      { vertexes: [{ cached: boolean; completed: string }] },
    ];
    assert.equal(status.vertexes[0].cached, true);
    assert.equal(status.vertexes[0].completed, '1970-01-01T00:00:01.000Z');
  });
});
