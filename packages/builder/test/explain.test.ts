import assert from 'node:assert/strict';

import { digestOf } from '@strake/core';

import { explainStep, matchSteps } from '../src/explain/compare.js';
import { compareFiles } from '../src/explain/files.js';
import { hideSecret } from '../src/explain/secrets.js';
import type { SelectedFact, StepNote } from '../src/explain/types.js';

function step(name: string, more: Partial<StepNote> = {}): StepNote {
  const key = digestOf(`${name} ${JSON.stringify(more)}`);
  const operation = { kind: name.replace(/^\[.*\] (\w+).*/, '$1') };
  return {
    id: '1',
    name,
    stage: '',
    key,
    cached: false,
    duration: 1,
    reason: 'no-record',
    operation,
    content: {},
    inputs: [],
    ...more,
  };
}

const file = (path: string, digest: string, mode = 0o644): SelectedFact => [path, 'file', mode, 0, 0, 1, '', digest];
const nothing = (): Promise<undefined> => Promise.resolve(undefined);

describe('explanations', () => {
  it('name files and which of their facts changed', () => {
    const before = [file('a', 'x'), file('b', 'x'), file('c', 'x'), file('d', 'x')];
    assert.deepEqual(compareFiles(before, before), []);
    assert.deepEqual(compareFiles(before, [file('a', 'y'), file('b', 'x', 0o755), file('c', 'x')]), [
      'a changed (content)',
      'b changed (mode 644 → 755)',
      'd is gone',
    ]);
    assert.deepEqual(compareFiles([], before), ['a is new', 'b is new', 'c is new', 'and 1 more']);
  });

  it('compare a step with the one that stood in its place', () => {
    const [a, b] = [step('[2/3] RUN a'), step('[3/3] RUN b')];
    const [added, a2, b2] = [step('[2/4] RUN new'), step('[3/4] RUN a'), step('[4/4] RUN b')];
    const matched = matchSteps([a, b], [added, a2, b2]);
    assert.equal(matched.get(a2), a);
    assert.equal(matched.get(b2), b);
    assert.equal(matched.get(added), undefined);
  });

  it('name variables with both values, of secrets neither', async () => {
    const env = (...values: string[]): Partial<StepNote> => ({
      operation: { kind: 'run', env: values.map(hideSecret) },
    });
    const before = step('RUN x', env('A=1', 'GONE=g', 'DB_PASSWORD=old'));
    const after = step('RUN x', env('A=2', 'NEW=n', 'DB_PASSWORD=new'));
    assert.deepEqual(await explainStep(before, after, nothing, true), [
      'ARG or ENV A: "1" → "2"',
      'ARG or ENV GONE="g" is gone',
      'ARG or ENV DB_PASSWORD: (hidden) → (hidden)',
      'ARG or ENV NEW="n" is new',
    ]);
    assert.doesNotMatch(JSON.stringify([before, after]), /PASSWORD=(?:old|new)/);
  });

  it('tell of new steps, --no-cache, collected records, new base images', async () => {
    const one = step('RUN x');
    assert.deepEqual(await explainStep(undefined, one, nothing, true), ['the step is new']);
    assert.match((await explainStep(undefined, one, nothing, false)).join(), /no earlier build/);
    assert.deepEqual(await explainStep(one, { ...one, reason: 'renewed' }, nothing, true), ['--no-cache']);
    assert.match((await explainStep(one, one, nothing, true)).join(), /collected/);
    assert.deepEqual(await explainStep(one, { ...one, cached: true }, nothing, true), []);
    const base = (diffId: string): StepNote =>
      step('FROM x', { operation: { kind: 'layers', diffIds: [digestOf(diffId)] } });
    assert.match((await explainStep(base('1'), base('2'), nothing, true)).join(), /^the base image changed: sha256:/);
  });
});
