import assert from 'node:assert/strict';
import type { WatchEvent } from '@strake/engine';
import { jsonLine } from '../src/watch/json.js';
import { WatchView } from '../src/watch/view.js';
import { BUILT, utf8 } from './support.js';

const built = (more: Partial<Extract<WatchEvent, { type: 'built' }>>): WatchEvent => ({
  ...{ type: 'built', time: 0, result: BUILT, ran: 2, duration: 310, unchanged: false, actions: ['restarted'] },
  first: { number: 7, of: 9, name: '[build 2/4] COPY src' },
  paths: ['src/server.ts'],
  ...more,
});

describe('watch: what is printed', () => {
  const view = (terminal = false): WatchView =>
    new WatchView({ terminal, colors: false, columns: () => 60, debug: false, clock: () => '14:03:07' });

  it('a line for each save', () => {
    const line = '14:03:07 src/server.ts → step 7 of 9 (COPY src) → rebuilt 2 steps in 0.31 s → restarted\n';
    assert.equal(view().event(built({})), line);
    const many = built({ paths: Array.from({ length: 5000 }, (_, i) => `f${i}`), actions: [], ran: 1 });
    assert.match(view().event(many), /^14:03:07 f0 and 4,999 more → .* → rebuilt 1 step in 0.31 s\n$/);
    assert.match(view().event(built({ ran: 0, unchanged: true, actions: [] })), /→ nothing changed \(0.31 s\)\n$/);
  });

  it("the container's output behind a bar, whole lines only, and nothing that harms a terminal", () => {
    const shown = view();
    const output = (text: string): string =>
      shown.event({ type: 'output', stream: 'stdout', data: utf8(text), time: 0 });
    assert.equal(output('one\ntw'), '| one\n');
    assert.equal(output('o\u001b[2J\n'), '| two\n');
    assert.equal(output('rest'), '');
    assert.equal(shown.end(), '| rest\n');
  });

  it('on a terminal a last line tells the state, and gives way to what is printed', () => {
    const shown = view(true);
    assert.equal(shown.event({ type: 'watching', time: 0, folders: 3 }), '● watching 3 folders');
    const text = shown.event(built({}));
    assert.ok(text.startsWith('\r\u001b[K14:03:07 src') && text.endsWith('\n● watching'), text);
    assert.equal(shown.end(), '\r\u001b[K');
  });

  it('as JSON, an event a line', () => {
    const event = JSON.parse(jsonLine(built({}))) as Record<string, unknown>;
    assert.deepEqual([event['type'], event['paths'], event['ran']], ['built', ['src/server.ts'], 2]);
    const output = jsonLine({ type: 'output', stream: 'stderr', data: utf8('x'), time: 1 });
    assert.equal(output, '{"type":"output","stream":"stderr","data":"x","time":1}\n');
  });
});
