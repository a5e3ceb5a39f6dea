import assert from 'node:assert/strict';
import type { ProgressEvent } from '@strake/core';
import { PlainRenderer } from '../src/progress/plain.js';
import { of, utf8 } from './support.js';

/** What is printed of events, each seen at its own time; a number is a tick at that time. */
function printed(events: readonly (ProgressEvent | number)[], renderer: PlainRenderer = new PlainRenderer()): string {
  let now = 0;
  let text = '';
  for (const event of events) {
    if (typeof event === 'number') {
      now = event;
      text += renderer.tick(now);
    } else {
      if ('time' in event) now = event.time;
      text += renderer.event(event, now);
    }
  }
  return text + renderer.end(now);
}

const a = of('a');
const b = of('b');

describe('plain progress', () => {
  it('prints steps as BuildKit does', () => {
    const text = printed([
      a.step('[1/2] FROM busybox'),
      b.step('[2/2] RUN make'),
      a.cached(1000),
      b.started(1000),
      b.output(1312, 'compiling\nlin'),
      b.output(1500, 'king\n'),
      b.output(1600, 'warning\n', 'stderr'),
      b.finished(1840),
    ]);
    assert.equal(
      text,
      [
        '#1 [1/2] FROM busybox',
        '#1 CACHED',
        '',
        '#2 [2/2] RUN make',
        '#2 0.312 compiling',
        '#2 0.500 linking',
        '#2 0.600 warning',
        '#2 DONE 0.8s',
        '',
        '',
      ].join('\n'),
    );
  });

  it('prints errors, and the unfinished last line before', () => {
    const renderer = new PlainRenderer();
    const text = printed(
      [a.step('RUN false'), a.started(0), a.output(10, 'oh'), a.finished(20, 'exit code: 1\nmore')],
      renderer,
    );
    assert.equal(text, '#1 RUN false\n#1 0.020 oh\n#1 ERROR: exit code: 1\n\n');
    assert.equal(renderer.showsTail('RUN false'), true);
    assert.equal(renderer.showsTail('RUN true'), false);
  });

  it('keeps the lines of steps that talk at the same time together', () => {
    const text = printed([
      a.step('A'),
      b.step('B'),
      a.started(0),
      b.started(0),
      a.output(100, 'a1\n'),
      b.output(200, 'b1\n'),
      a.output(300, 'a2\n'),
      b.output(400, 'b2\n'),
      a.finished(500),
      b.output(600, 'b3\n'),
      b.finished(700),
    ]);
    assert.equal(
      text,
      '#1 A\n#1 0.100 a1\n#1 0.300 a2\n#1 DONE 0.5s\n\n#2 B\n#2 0.200 b1\n#2 0.400 b2\n#2 0.600 b3\n#2 DONE 0.7s\n\n',
    );
  });

  it('holds nobody up for longer than a second', () => {
    const start = [a.step('A'), b.step('B'), a.started(0), b.started(0), b.output(200, 'b1\n')];
    assert.equal(printed([...start, 900, 1000]), '#1 A\n#1 ...\n\n#2 B\n#2 0.200 b1\n\n');
    const renderer = new PlainRenderer();
    let text = '';
    for (const event of start) text += renderer.event(event, 0);
    assert.equal(text, '#1 A\n');
    assert.equal(renderer.tick(500), '');
    assert.match(renderer.tick(1000), /#2 0\.200 b1\n$/);
  });

  it('keeps output byte by byte, also where a character is split', () => {
    const bytes = utf8('größe\u001b[1m\n');
    const parts = [...bytes].map(
      (_, i): ProgressEvent => ({ ...a.output(5, ''), data: bytes.slice(i, i + 1) }) as ProgressEvent,
    );
    assert.equal(printed([a.step('A'), a.started(0), ...parts]), '#1 A\n#1 0.005 größe\u001b[1m\n\n');
  });

  it('takes control characters out where it writes to a terminal', () => {
    const renderer = new PlainRenderer({ neutralise: true });
    const text = printed(
      [a.step('A\u001b[2J'), a.started(0), a.output(5, '\u001b]0;title\u0007x\u001b[5A\n')],
      renderer,
    );
    assert.equal(text, '#1 A[2J\n#1 0.005 x\n\n');
  });

  it('reports transfers now and then, and when they are done', () => {
    const move = (time: number, current: number, done = false): ProgressEvent => ({
      type: 'progress',
      id: 'a',
      time,
      action: 'pulling',
      subject: 'sha256:0c1f',
      current,
      total: 4_000_000,
      done,
    });
    assert.equal(
      printed([
        a.step('FROM x'),
        a.started(0),
        move(100, 1),
        move(4000, 2_000_000),
        move(5200, 3_000_000),
        move(6000, 4_000_000, true),
      ]),
      '#1 FROM x\n#1 pulling sha256:0c1f 3.00MB / 4.00MB 5.1s\n#1 pulling sha256:0c1f 4.00MB 5.9s done\n\n',
    );
  });

  it('tells cancelled steps from failed ones, and notes', () => {
    assert.equal(
      printed([{ type: 'note', message: 'isolation: native' }, a.step('A'), a.started(0), a.finished(10, 'cancelled')]),
      'note: isolation: native\n#1 A\n#1 CANCELED\n\n',
    );
  });

  it('prints a line without an end before it fills the memory', () => {
    const renderer = new PlainRenderer();
    renderer.event(a.started(0), 0);
    let text = '';
    for (let i = 0; i < 20; i++) text += renderer.event(a.output(1, 'x'.repeat(10_000)), 1);
    assert.ok(text.length > 130_000);
    assert.equal((text + renderer.end(2)).replace(/[^x]/g, '').length, 200_000);
  });
});
