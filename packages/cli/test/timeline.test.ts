import assert from 'node:assert/strict';
import { digestOf, type ProgressEvent } from '@strake/core';
import fc from 'fast-check';
import { chromeTrace } from '../src/timeline/chrome-trace.js';
import { criticalPath, type TimedStep } from '../src/timeline/critical-path.js';
import { MASK, maskValues } from '../src/timeline/mask.js';
import { KeptOutput, outputRoom } from '../src/timeline/output.js';
import { timelinePage } from '../src/timeline/page.js';
import { BuildRecorder } from '../src/timeline/recorder.js';

const step = (id: string, start: number, end: number, ...inputs: string[]): TimedStep => ({
  id,
  inputs,
  start,
  end,
  ran: end > start,
});
const none = maskValues([]);

describe('the critical path', () => {
  const path = (...steps: TimedStep[]): string => [...criticalPath(steps)].reverse().join();

  it('goes back to what was waited for longest, through what was cached', () => {
    assert.equal(path(step('a', 0, 9), step('b', 0, 4), step('c', 9, 10, 'a', 'b')), 'a,c');
    assert.equal(path(step('a', 0, 5), step('cached', 5, 5, 'a'), step('c', 5, 7, 'cached')), 'a,c');
    assert.equal(path(step('a', 0, 0), step('b', 0, 0, 'a')), '');
  });

  it('takes a step whose layer is still written for what it was waited for', () => {
    assert.equal(
      path(step('long write', 0, 100), step('next', 10, 20, 'long write'), step('last', 20, 120, 'next')),
      'long write,next,last',
    );
  });

  it('has exports behind what ended last', () => {
    assert.equal(path(step('a', 0, 5), step('b', 0, 3), step('export', 6, 8)), 'a,export');
  });

  it('ends for any graph, also one with circles', () => {
    const some = fc.array(fc.record({ start: fc.nat(20), took: fc.nat(20), inputs: fc.array(fc.nat(9)) }), {
      maxLength: 10,
    });
    fc.assert(
      fc.property(some, (steps) => {
        const timed = steps.map(({ start, took, inputs }, i) =>
          step(`${i}`, start, start + took, ...inputs.map(String)),
        );
        const found = criticalPath(timed);
        for (const id of found) assert.ok(timed.find((one) => one.id === id)?.ran);
      }),
    );
  });
});

describe('a recorded build', () => {
  const output = (text: string, ...secrets: string[]): string => {
    const kept = new KeptOutput(outputRoom());
    for (let at = 0; at < text.length; at += 1000) kept.add(Buffer.from(text.slice(at, at + 1000)));
    return kept.text(maskValues(secrets));
  };

  it('hides secrets, also each line of one, and in pieces of output', () => {
    assert.equal(output('token abc123\n', 'abc123\n'), `token ${MASK}\n`);
    assert.equal(output('-----\nline two\nxline onex', 'line one\nline two'), `-----\n${MASK}\nx${MASK}x`);
    assert.equal(output('ab\u001b[1mc123', 'abc123'), MASK, 'put together by what an escape sequence left');
    assert.equal(output('a b c', 'b'), 'a b c', 'one too short to be one');
  });

  it('keeps the beginning and the end of much output, with no part of a secret at the cut', () => {
    const text = Array.from({ length: 60_000 }, (_, i) => `line ${i} secret-value-${'x'.repeat(i % 40)}`).join('\n');
    const kept = output(text, ...Array.from({ length: 40 }, (_, i) => `secret-value-${'x'.repeat(i)}`));
    assert.ok(kept.length < 300_000);
    assert.match(kept, /^line 0 •••••\n/);
    assert.match(kept, /\n\[… \d+ bytes are left out …\]\nline \d+ •••••\n/);
    assert.match(kept, /line 59999 •••••x*$/);
    assert.doesNotMatch(kept, /secret|value/);
  });

  it('of much output of many steps takes little', () => {
    const room = outputRoom();
    const line = Buffer.alloc(64 << 10, 'line\n');
    const all = Array.from({ length: 600 }, () => new KeptOutput(room));
    for (const one of all) for (let i = 0; i < 8; i++) one.add(line);
    const size = all.reduce((sum, one) => sum + one.text(none).length, 0);
    assert.ok(size < 120e6, String(size));
    assert.ok((all.at(-1)?.text(none).length ?? 0) < 10_000);
  });

  it('names in a page and a trace can do nothing', () => {
    const recorder = new BuildRecorder(1000);
    const name = '[1/1] RUN "</code><script>alert(1)</script>\u202e\u001b[31m\' & hush';
    const events: ProgressEvent[] = [
      { type: 'step', id: '"1<', name, inputs: [], stage: '<s>' },
      { type: 'step-started', id: '"1<', time: 1000 },
      { type: 'progress', id: '"1<', time: 1001, action: 'pull', subject: '<i>hush', current: 1 },
      { type: 'step-finished', id: '"1<', time: 1500, error: 'bad <b> hush\nmore' },
      { type: 'step', id: '2', name: 'cached', inputs: ['"1<'], stage: 'x' },
      { type: 'step-cached', id: '2', time: 1500, key: digestOf('') },
      { type: 'step', id: '3', name: 'never', inputs: ['2'], stage: 'x' },
      { type: 'warning', message: '<u>warned' },
    ];
    for (const event of events) recorder.event(event);
    const recording = recorder.finish(2000, 'me/<app>', maskValues(['hush']), [], 'failed <hr>');
    const html = timelinePage(recording);
    assert.doesNotMatch(html, /<script|<i>h|<b>|<u>w|<s>|<hr>|<app>|hush/);
    assert.ok(!html.includes('\u202e') && !html.includes('\u001b'));
    assert.match(html, /&lt;script&gt;alert\(1\)/);
    const trace = chromeTrace(recording);
    assert.doesNotMatch(trace, /hush/);
    const { traceEvents } = JSON.parse(trace) as { traceEvents: { cat?: string; ph: string }[] };
    assert.deepEqual(
      traceEvents.filter(({ ph }) => ph !== 'M').map(({ cat }) => cat),
      ['failed', 'transfer', 'cached'],
    );
  });
});
