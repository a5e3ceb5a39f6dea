import assert from 'node:assert/strict';
import fc from 'fast-check';

import { startBuild } from '../src/library/build.js';
import { EventQueue, type BuildEvent } from '../src/library/event-queue.js';

const output = (id: string, bytes: number): BuildEvent => ({
  type: 'step-output',
  id,
  time: 0,
  stream: 'stdout',
  data: new Uint8Array(bytes),
});
const progress = (subject: string, current: number): BuildEvent => ({
  type: 'progress',
  id: 'p',
  time: 0,
  action: 'pull',
  subject,
  current,
});
const started = (id: string): BuildEvent => ({ type: 'step-started', id, time: 0 });

async function rest(queue: EventQueue): Promise<BuildEvent[]> {
  queue.end();
  const events: BuildEvent[] = [];
  for await (const event of queue) events.push(event);
  return events;
}

const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);
/** What of a step's output arrived, and what was reported as lost. */
function bytesOf(events: readonly BuildEvent[], id: string): { came: number; lost: number } {
  return {
    came: sum(events.map((e) => (e.type === 'step-output' && e.id === id ? e.data.length : 0))),
    lost: sum(events.map((e) => (e.type === 'step-output-lost' && e.id === id ? e.bytes : 0))),
  };
}

describe('library: events', () => {
  it('come in order, to a reader that waits and to one that comes late', async () => {
    const queue = new EventQueue();
    const waiting = queue.next();
    queue.push(started('a'));
    queue.push(started('b'));
    assert.deepEqual((await waiting).value, started('a'));
    assert.deepEqual(await rest(queue), [started('b')]);
  });

  it('lose nothing but output and steps of progress, and say what was lost, whatever the reader does', async () => {
    const event = fc.oneof(
      fc.record({ kind: fc.constant('output' as const), id: fc.constantFrom('x', 'y'), bytes: fc.nat(400_000) }),
      fc.record({ kind: fc.constant('progress' as const), id: fc.constantFrom('s', 't'), bytes: fc.nat(9) }),
      fc.record({ kind: fc.constant('started' as const), id: fc.string(), bytes: fc.constant(0) }),
      fc.record({ kind: fc.constant('read' as const), id: fc.constant(''), bytes: fc.constant(0) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(event, { maxLength: 60 }), async (script) => {
        const queue = new EventQueue();
        const read: BuildEvent[] = [];
        const pushed: BuildEvent[] = [];
        let waiting = 0;
        for (const { kind, id, bytes } of script) {
          if (kind === 'read') {
            if (waiting === 0) continue;
            const next = await queue.next();
            assert.ok(!next.done);
            read.push(next.value);
            waiting--;
            continue;
          }
          const one = kind === 'output' ? output(id, bytes) : kind === 'progress' ? progress(id, bytes) : started(id);
          pushed.push(one);
          queue.push(one);
          waiting = queue.size;
        }
        const held = await rest(queue);
        assert.ok(sum(held.map((e) => (e.type === 'step-output' ? e.data.length : 0))) <= 1 << 20);
        read.push(...held);
        const lifecycle = (events: readonly BuildEvent[]): BuildEvent[] =>
          events.filter(({ type }) => type === 'step-started');
        assert.deepEqual(lifecycle(read), lifecycle(pushed));
        for (const id of ['x', 'y']) {
          const { came, lost } = bytesOf(read, id);
          assert.equal(came + lost, bytesOf(pushed, id).came);
        }
        for (const subject of ['s', 't']) {
          const last = (events: readonly BuildEvent[]): BuildEvent | undefined =>
            events.filter((e) => e.type === 'progress' && e.subject === subject).at(-1);
          assert.deepEqual(last(read), last(pushed));
        }
      }),
    );
  });

  it('do not pile up where nobody reads', () => {
    const queue = new EventQueue();
    for (let i = 0; i < 100_000; i++) {
      queue.push(output('x', 100));
      queue.push(progress('layer', i));
    }
    assert.ok(queue.size < 5000, `${queue.size} events wait`);
  });

  it('are kept no more once the reader has left its loop', async () => {
    const queue = new EventQueue();
    queue.push(started('a'));
    queue.push(started('b'));
    for await (const event of queue) {
      assert.deepEqual(event, started('a'));
      break;
    }
    queue.push(started('c'));
    assert.equal(queue.size, 0);
    assert.deepEqual(await rest(queue), []);
  });
});

describe('library: a build', () => {
  const options = (): { context: string } => ({ context: '/' });

  it('whose result nobody looks at tells its failure in the last event, and nothing goes unhandled', async () => {
    const unhandled: unknown[] = [];
    const listener = (reason: unknown): void => void unhandled.push(reason);
    process.on('unhandledRejection', listener);
    try {
      const failure = new Error('no');
      const { events } = startBuild(options, () => Promise.reject(failure));
      const seen: BuildEvent[] = [];
      for await (const event of events) seen.push(event);
      assert.deepEqual(
        seen.map((event) => [event.type, event.type === 'finished' && event.error]),
        [['finished', failure]],
      );
      await new Promise((resolve) => setImmediate(resolve));
      assert.deepEqual(unhandled, []);
    } finally {
      process.off('unhandledRejection', listener);
    }
  });

  it('whose arguments are wrong rejects its result', async () => {
    const { result } = startBuild(
      () => {
        throw new Error('wrong');
      },
      () => Promise.reject(new Error('not reached')),
    );
    await assert.rejects(result, /wrong/);
  });
});
