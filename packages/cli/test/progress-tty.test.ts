import assert from 'node:assert/strict';
import { renderFrame } from '../src/progress/frame.js';
import { ProgressTracker } from '../src/progress/state.js';
import { width } from '../src/progress/text.js';
import { TtyRenderer } from '../src/progress/tty.js';
import { of } from './support.js';

const a = of('a');
const b = of('b');
const c = of('c');
const LOOK = { now: 3400, startedAt: 0, columns: 40, rows: 20, colors: false, final: false };

function tracker(...events: Parameters<ProgressTracker['apply']>[0][]): ProgressTracker {
  const state = new ProgressTracker();
  for (const event of events) state.apply(event);
  return state;
}

describe('live progress', () => {
  const state = tracker(
    a.step('[1/3] FROM busybox'),
    b.step('[2/3] RUN make'),
    c.step('[3/3] COPY . .'),
    a.cached(100),
    b.started(300),
    b.output(400, 'one\ntwo\u001b[3A\nthree\rfour'),
  );

  it('shows times, cached steps and the last output of running ones', () => {
    assert.deepEqual(renderFrame(state, LOOK), [
      '[+] Building 3.4s (1/3)',
      ' => CACHED [1/3] FROM busybox       0.0s',
      ' => [2/3] RUN make                  3.1s',
      ' => => # one',
      ' => => # two',
      ' => => # four',
    ]);
  });

  it('fits into the terminal', () => {
    for (const columns of [1, 12, 20, 39]) {
      for (const rows of [1, 2, 3, 5]) {
        const frame = renderFrame(state, { ...LOOK, columns, rows });
        assert.ok(frame.length <= Math.max(2, rows), `${rows} rows: ${frame.length}`);
        if (columns >= 20) for (const line of frame) assert.ok(width(line) <= columns, line);
      }
    }
    // the running step stays, the finished one gives way
    assert.deepEqual(renderFrame(state, { ...LOOK, rows: 3 }).slice(1), [
      ' => [2/3] RUN make                  3.1s',
      ' => => # four',
    ]);
  });

  it('counts wide characters as two columns', () => {
    const wide = tracker(a.step('RUN echo 漢字漢字漢字漢字漢字漢字漢字漢字'), a.started(0));
    for (const line of renderFrame(wide, LOOK)) assert.ok(width(line) <= 40, line);
  });

  it('ends with every step and no output', () => {
    b.finished(3300);
    const ended = tracker(
      a.step('A'),
      a.cached(5),
      b.step('B'),
      b.started(5),
      b.output(6, 'x\n'),
      b.finished(1005, 'exit code: 1'),
    );
    assert.deepEqual(renderFrame(ended, { ...LOOK, rows: 2, final: true }), [
      '[+] Building 3.4s (2/2) FAILED',
      ' => CACHED A                        0.0s',
      ' => ERROR B                         1.0s',
    ]);
  });

  it('shows transfers until they are done', () => {
    const move = { type: 'progress', id: 'a', time: 400, action: 'pulling', subject: 'x', current: 1_500_000 } as const;
    const pulling = tracker(a.step('A'), a.started(0), { ...move, total: 3_000_000 });
    assert.equal(renderFrame(pulling, LOOK)[2], ' => => pulling x 1.50MB / 3.00MB    3.0s');
    pulling.apply({ ...move, done: true });
    assert.equal(renderFrame(pulling, LOOK).length, 2);
  });

  it('redraws in place, and shows the cursor again', () => {
    const tty = new TtyRenderer({ size: () => ({ columns: 40, rows: 20 }), colors: false, startedAt: 0 });
    assert.equal(tty.tick(50), '');
    assert.equal(tty.event(a.step('A')) + tty.event(a.started(0)), '');
    assert.equal(
      tty.tick(100),
      '\u001b[?25l[+] Building 0.1s (0/1)\u001b[K\n => A                               0.1s\u001b[K\n\u001b[J',
    );
    assert.ok(tty.tick(200).startsWith('\u001b[2A\r[+] Building 0.2s'));
    const end = tty.end(300);
    assert.ok(end.startsWith('\u001b[2A\r'));
    assert.ok(end.endsWith('\u001b[?25h'));
  });

  it('goes up further where a narrower terminal has wrapped its lines', () => {
    let columns = 80;
    const tty = new TtyRenderer({ size: () => ({ columns, rows: 20 }), colors: true, startedAt: 0 });
    tty.event(a.step('A'));
    tty.event(a.cached(0));
    tty.tick(100);
    columns = 40;
    assert.ok(tty.tick(200).startsWith('\u001b[3A\r'));
  });
});
