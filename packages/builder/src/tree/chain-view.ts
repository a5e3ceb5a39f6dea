import type { Digest } from '@strake/core';
import type { Store, TreeView } from '@strake/store';

import { usableChain, type ChainResult } from '../result.js';
import { WindowsView } from './windows-layers.js';

/** The file tree of a step's result; waits for its layers. */
export async function chainView(
  chain: ChainResult,
  { layers }: Pick<Store, 'layers'>,
  signal?: AbortSignal,
): Promise<TreeView> {
  const ids: Digest[] = await usableChain(chain, signal);
  const view = await layers.view(ids);
  return chain.windows ? new WindowsView(view) : view;
}
