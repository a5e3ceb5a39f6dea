import assert from 'node:assert/strict';

import type { HistoryEntry } from '@strake/core';

import { assembleConfig } from '../src/image.js';
import type { ResolvedImage } from '../src/lower/context.js';
import { startFromImage } from '../src/lower/stage-state.js';

/** What the history says after a RUN on a base of LAYERS layers with HISTORY. */
async function historyOn(layers: number, history: readonly HistoryEntry[]): Promise<(string | undefined)[]> {
  const platform = { os: 'linux', architecture: 'amd64' };
  const vertex = { name: '[2/2] RUN x' } as ResolvedImage['vertex'];
  const config = { ...platform, rootfs: { type: 'layers' as const, diff_ids: [] }, history: [...history] };
  const state = startFromImage({ vertex, platform, config, layerCount: layers, layerName: 'pulled from base' });
  state.history.push({ createdBy: 'RUN x', emptyLayer: false, vertex, layerName: 'mount / from exec x' });
  const made = await assembleConfig(state, [], {
    labels: {},
    platform: undefined,
    epoch: undefined,
    createdAt: () => Promise.resolve(undefined),
  });
  return (made.history ?? []).map((entry) => entry.created_by);
}

describe('the history on a base whose own has too few entries', () => {
  it('names the last layers at its end, as that of an image by BuildKit', async () => {
    assert.deepEqual(await historyOn(2, []), ['RUN x', 'pulled from base', 'mount / from exec x']);
    assert.deepEqual(await historyOn(2, [{ created_by: 'a' }, { created_by: 'ENV', empty_layer: true }]), [
      ...['a', 'ENV', 'RUN x'],
      'mount / from exec x',
    ]);
    assert.deepEqual(await historyOn(1, [{ created_by: 'a' }]), ['a', 'RUN x']);
  });
});
