import { digestOf, type Digest } from '@strake/core';
import assert from 'node:assert/strict';
import fc from 'fast-check';

import { Planner, Solver, type RecordAccess, type Vertex } from '../src/index.js';

/** Records in memory; `drop` stands for garbage collection. */
class MemoryRecords implements RecordAccess {
  readonly all = new Map<Digest, unknown>();
  readonly touched = new Set<Digest>();

  get<T>(key: Digest): Promise<T | undefined> {
    return Promise.resolve(structuredClone(this.all.get(key)) as T | undefined);
  }
  touch(key: Digest): void {
    this.touched.add(key);
  }
  put(key: Digest, record: unknown): Promise<void> {
    this.all.set(key, structuredClone(record));
    return Promise.resolve();
  }
}

/** What vertices of these tests result in. */
interface Value {
  readonly text: string;
}

/** A world in which vertices run: counts runs, remembers results, can lose them. */
class World {
  readonly records = new MemoryRecords();
  readonly runs: string[] = [];
  readonly gone = new Set<string>();
  running = 0;
  mostRunning = 0;

  solver(options: { parallelism?: number; signal?: AbortSignal; hooks?: object } = {}): Solver<Value> {
    return new Solver<Value>({
      records: this.records,
      codec: {
        save: (result) => Promise.resolve(result),
        load: (value) => Promise.resolve(this.gone.has((value as Value).text) ? undefined : (value as Value)),
      },
      parallelism: options.parallelism ?? 4,
      signal: options.signal ?? new AbortController().signal,
      hooks: options.hooks ?? {},
    });
  }

  vertex(
    id: string,
    inputs: readonly Vertex<Value>[] = [],
    more: Partial<Vertex<Value>> & { result?: (inputs: readonly Value[]) => string } = {},
  ): Vertex<Value> {
    return {
      id,
      name: id,
      caching: 'use',
      inputs: inputs.map((vertex) => ({ vertex })),
      key: () => ({ operation: { id } }),
      run: async (results) => {
        this.runs.push(id);
        this.running++;
        this.mostRunning = Math.max(this.mostRunning, this.running);
        await new Promise((resolve) => setImmediate(resolve));
        this.running--;
        return { text: more.result?.(results) ?? `${id}(${results.map(({ text }) => text).join(',')})` };
      },
      ...more,
    };
  }

  /** Runs of a build of TARGET. */
  async build(target: Vertex<Value>): Promise<{ text: string; ran: string[] }> {
    this.runs.length = 0;
    const solver = this.solver();
    const { result } = await solver.solve(target);
    await solver.settled();
    return { text: result.text, ran: [...this.runs].sort() };
  }
}

describe('solver', () => {
  it('runs what a target needs, each vertex once, inputs first', async () => {
    const world = new World();
    const base = world.vertex('base');
    const left = world.vertex('left', [base]);
    const right = world.vertex('right', [base]);
    world.vertex('unneeded', [base]);
    const { text, ran } = await world.build(world.vertex('top', [left, right]));
    assert.equal(text, 'top(left(base()),right(base()))');
    assert.deepEqual(ran, ['base', 'left', 'right', 'top']);
    assert.equal(world.runs[0], 'base');
  });

  it('answers a second build from records, running nothing', async () => {
    const world = new World();
    const make = (): Vertex<Value> => world.vertex('b', [world.vertex('a')]);
    const first = await world.build(make());
    const second = await world.build(make());
    assert.equal(second.text, first.text);
    assert.deepEqual(second.ran, []);
  });

  it('tells steps that they will be run before their inputs are made, and cached ones nothing', async () => {
    const world = new World();
    const told: string[] = [];
    const expected = (id: string) => ({ expected: () => void told.push(`${id} after ${world.runs.length} runs`) });
    const a = world.vertex('a', [], expected('a'));
    await world.solver().solve(a);
    const b = world.vertex('b', [a], expected('b'));
    const c = world.vertex('c', [b], expected('c'));
    await world.solver().solve(c);
    assert.deepEqual(told, ['a after 0 runs', 'b after 1 runs', 'c after 1 runs']);
  });

  it('tells a step that it will be run while what others are made of is still being looked at', async () => {
    const world = new World();
    let told: () => void = () => undefined;
    const waits = new Promise<void>((resolve) => (told = resolve));
    const first = world.vertex('first', [], { expected: () => told() });
    const slow = world.vertex('slow', [], { key: () => waits.then(() => ({ operation: {} })) });
    const { ran } = await world.build(world.vertex('top', [slow, first]));
    assert.deepEqual(ran, ['first', 'slow', 'top']);
  });

  it('solves and foresees a chain of ten thousand steps: no stack is as deep as the graph', async function () {
    this.timeout(60_000);
    const world = new World();
    const run = (inputs: readonly Value[]): Promise<Value> => Promise.resolve({ text: String(inputs.length) });
    const chain = (caching: 'use' | 'renew'): Vertex<Value> => {
      let top = world.vertex('0', [], { run, caching });
      for (let i = 1; i < 10_000; i++) top = world.vertex(String(i), [top], { run, caching });
      return top;
    };
    const plan = async (): Promise<string> => {
      const codec = {
        save: (value: Value) => Promise.resolve(value),
        load: (value: unknown) => Promise.resolve(value as Value),
      };
      const { signal } = new AbortController();
      return (await new Planner<Value>({ records: world.records, codec, signal }).plan(chain('use'))).state;
    };
    assert.equal(await plan(), 'run');
    for (const caching of ['use', 'renew', 'use'] as const) await world.build(chain(caching));
    assert.equal(await plan(), 'cached');
  });

  it('needs no result of a step behind a cached one', async () => {
    const world = new World();
    const make = (): Vertex<Value> => world.vertex('b', [world.vertex('a')]);
    await world.build(make());
    world.gone.add('a()');
    assert.deepEqual((await world.build(make())).ran, []);
  });

  it('runs a step again whose result is gone, where a later step needs it', async () => {
    const world = new World();
    const make = (top: string): Vertex<Value> => world.vertex(top, [world.vertex('a')]);
    await world.build(make('b'));
    world.gone.add('a()');
    const again = world.build(make('c'));
    await assert.doesNotReject(again);
    assert.deepEqual((await again).ran, ['a', 'c']);
  });

  it('tells a changed operation from an unchanged one', async () => {
    const world = new World();
    const make = (version: number): Vertex<Value> =>
      world.vertex('b', [world.vertex('a', [], { key: () => ({ operation: { version } }) })]);
    await world.build(make(1));
    assert.deepEqual((await world.build(make(2))).ran, ['a', 'b']);
    assert.deepEqual((await world.build(make(1))).ran, []);
  });

  it('takes selected content for an input, not the way it was made', async () => {
    const world = new World();
    const make = (version: number): Vertex<Value> => {
      const source = world.vertex('source', [], {
        key: () => ({ operation: { version } }),
        result: () => `file, made by ${version}`,
      });
      const selected = {
        selector: 'file',
        digest: (value: Value) => Promise.resolve(digestOf(value.text.slice(0, 4))),
      };
      return world.vertex('copy', [], { inputs: [{ vertex: source, content: selected }] });
    };
    await world.build(make(1));
    assert.deepEqual((await world.build(make(2))).ran, ['source']);
    assert.deepEqual((await world.build(make(2))).ran, []);
  });

  it('renews: what is behind a renewed step is built from its new result, now and later', async () => {
    const world = new World();
    let made = 0;
    const make = (caching: 'use' | 'renew'): Vertex<Value> =>
      world.vertex('b', [world.vertex('a', [], { caching, result: () => `random ${++made}` })]);
    assert.equal((await world.build(make('use'))).text, 'b(random 1)');
    const renewed = await world.build(make('renew'));
    assert.equal(renewed.text, 'b(random 2)');
    assert.deepEqual(renewed.ran, ['a', 'b']);
    const later = await world.build(make('use'));
    assert.equal(later.text, 'b(random 2)');
    assert.deepEqual(later.ran, []);
  });

  it('runs two vertices of one key once', async () => {
    const world = new World();
    const base = world.vertex('base');
    const twin = (id: string): Vertex<Value> =>
      world.vertex(id, [base], { key: () => ({ operation: { same: true } }) });
    const { ran } = await world.build(world.vertex('top', [twin('x'), twin('y')]));
    assert.equal(ran.filter((id) => id === 'x' || id === 'y').length, 1);
  });

  it('never records vertices that are free', async () => {
    const world = new World();
    const make = (): Vertex<Value> => world.vertex('a', [], { caching: 'none' });
    await world.build(make());
    assert.equal(world.records.all.size, 0);
    assert.deepEqual((await world.build(make())).ran, ['a']);
  });

  it('keeps to its parallelism', async () => {
    const world = new World();
    const solver = world.solver({ parallelism: 3 });
    const many = Array.from({ length: 20 }, (_, i) => world.vertex(`v${i}`));
    await solver.solve(world.vertex('top', many));
    await solver.settled();
    assert.equal(world.mostRunning, 3);
  });

  it('fails with the error of a step, and records nothing for it', async () => {
    const world = new World();
    const failing = world.vertex('bad', [], { run: () => Promise.reject(new Error('broken')) });
    const solver = world.solver();
    await assert.rejects(solver.solve(world.vertex('top', [failing])), /broken/);
    await assert.rejects(solver.settled(), /broken/);
    assert.equal(world.records.all.size, 0);
  });

  it('starts nothing after an abort', async () => {
    const world = new World();
    const controller = new AbortController();
    const first = world.vertex('first', [], {
      run: () => {
        controller.abort();
        return Promise.resolve({ text: 'first' });
      },
    });
    const solver = world.solver({ signal: controller.signal });
    await assert.rejects(solver.solve(world.vertex('second', [first])), { code: 'CANCELLED' });
    await solver.settled().catch(() => undefined);
    assert.deepEqual(world.runs, []);
  });

  it('tells of cached steps in the order of the graph, each once', async () => {
    const world = new World();
    const make = (): Vertex<Value> => world.vertex('c', [world.vertex('b', [world.vertex('a')])]);
    await world.build(make());
    const cached: string[] = [];
    const solver = world.solver({ hooks: { cached: (vertex: Vertex<Value>) => void cached.push(vertex.id) } });
    await solver.solve(make());
    await solver.settled();
    assert.deepEqual(cached, ['a', 'b', 'c']);
  });

  it('random graphs: equals a build without cache, runs only what an edit can reach', async () => {
    const graph = fc.array(fc.record({ inputs: fc.array(fc.nat(), { maxLength: 3 }), free: fc.boolean() }), {
      minLength: 1,
      maxLength: 25,
    });
    await fc.assert(
      fc.asyncProperty(graph, fc.array(fc.nat(), { maxLength: 6 }), async (nodes, edits) => {
        const versions = nodes.map(() => 0);
        const build = async (world: World): Promise<{ text: string; ran: string[] }> => {
          const made: Vertex<Value>[] = [];
          for (const [i, node] of nodes.entries()) {
            const inputs = i === 0 ? [] : [...new Set(node.inputs.map((n) => n % i))];
            const version = versions[i] ?? 0;
            made.push(
              world.vertex(
                `n${i}`,
                inputs.map((n) => made[n] as Vertex<Value>),
                {
                  caching: node.free ? 'none' : 'use',
                  key: () => ({ operation: { i, version } }),
                  result: (results) => digestOf(JSON.stringify([i, version, results])),
                },
              ),
            );
          }
          return world.build(made.at(-1) as Vertex<Value>);
        };
        const world = new World();
        await build(world);
        for (const edit of edits) {
          versions[edit % nodes.length] = (versions[edit % nodes.length] ?? 0) + 1;
          const cached = await build(world);
          const fresh = await build(new World());
          assert.equal(cached.text, fresh.text);
          for (const id of cached.ran) assert.ok(fresh.ran.includes(id));
          const recorded = (id: string): boolean => !nodes[Number(id.slice(1))]?.free;
          assert.deepEqual((await build(world)).ran.filter(recorded), []);
        }
      }),
      { numRuns: 60 },
    );
  });
});
