import assert from 'node:assert/strict';

import { giveBackMemory, IdleMemory } from '../src/index.js';

describe('memory of a thread that rests', () => {
  it('garbage goes', async () => {
    const garbage = { now: Array.from({ length: 400_000 }, (_, i) => ({ i, text: `${i}` })) };
    const before = process.memoryUsage().heapUsed;
    garbage.now.length = 0;
    await giveBackMemory();
    assert.ok(process.memoryUsage().heapUsed < before - 10_000_000);
  });

  it('it is collected now and then where there is no rest', async () => {
    let [now, count] = [0, 0];
    let done = (): void => undefined;
    const collected = new Promise<void>((resolve) => (done = resolve));
    const collect = (): Promise<void> => {
      count++;
      done();
      return Promise.resolve();
    };
    const memory = new IdleMemory(1_000_000, collect, () => now);
    for (now of [10_000, 59_999]) memory.idle();
    now = 60_000;
    memory.idle();
    await collected;
    memory.idle();
    memory.busy();
    assert.equal(count, 1);
  });

  it('it is collected once for each rest, and not while something is built', async () => {
    let done = (): void => undefined;
    const collected = new Promise<void>((resolve) => (done = resolve));
    let count = 0;
    const collect = (): Promise<void> => {
      count++;
      done();
      return Promise.resolve();
    };
    const memory = new IdleMemory(20, collect);
    memory.idle();
    for (let i = 0; i < 2; i++) {
      memory.busy();
      memory.idle();
    }
    await collected;
    assert.equal(count, 1);
    const other = new IdleMemory(0, collect);
    other.idle();
    other.busy();
    other.idle();
    other.busy();
    await new Promise((resolve) => setTimeout(resolve, 1));
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(count, 1);
  });
});
