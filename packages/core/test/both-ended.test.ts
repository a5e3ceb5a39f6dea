import assert from 'node:assert/strict';

import { bothEnded } from '../src/both-ended.js';

describe('two tasks that must both have ended', () => {
  it('give both results', async () => {
    assert.deepEqual(await bothEnded(Promise.resolve(1), Promise.resolve('a')), [1, 'a']);
  });

  it('are waited for, also where one of them fails at once', async () => {
    let over = false;
    const slow = new Promise<void>((resolve) => setImmediate(resolve)).then(() => void (over = true));
    await assert.rejects(bothEnded(Promise.reject(new Error('one')), slow), /one/);
    assert.ok(over);
    await assert.rejects(bothEnded(Promise.resolve(), Promise.reject(new Error('two'))), /two/);
  });
});
