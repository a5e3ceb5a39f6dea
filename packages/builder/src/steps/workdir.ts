import type { Vertex } from '@strake/solver';
import type { OutlinePath } from '@strake/store';

import { resolveOwner } from '../copy/owner.js';
import { USER_FILES } from '../copy/plan-paths.js';
import { TargetTree } from '../copy/target-tree.js';
import { EMPTY_CHAIN, storedLayer, withLayer, type ChainResult } from '../result.js';
import type { BuilderServices } from '../services.js';
import { treePath } from '../tree/paths.js';
import { layerEntries, planOn } from './plan-on.js';

export interface WorkdirStep {
  readonly id: string;
  readonly name: string;
  readonly parent: Vertex<ChainResult>;
  readonly caching: 'use' | 'renew';
  /** Absolute. */
  readonly path: string;
  /** USER of the moment; '' for root. */
  readonly user: string;
  /** Time of the folders, in seconds, where SOURCE_DATE_EPOCH gives one. */
  readonly epoch?: number | undefined;
}

/**
 * WORKDIR: makes the folder and its parents, owned by the user of the moment (a name that the image does not know: root; a RUN
 * will refuse it). A layer also where there is nothing to make.
 */
export function workdirVertex(step: WorkdirStep, services: BuilderServices): Vertex<ChainResult> {
  const { path, user, epoch } = step;
  return {
    id: step.id,
    name: step.name,
    inputs: [{ vertex: step.parent }],
    caching: step.caching,
    key: () => ({ operation: { kind: 'workdir', version: 2, path, user, ...(epoch === undefined ? {} : { epoch }) } }),
    run: async ([parent = EMPTY_CHAIN], { signal }) => {
      const paths = (): OutlinePath[] => [{ path: treePath(path), deep: false }, ...(user === '' ? [] : USER_FILES)];
      const layer = await planOn(parent, paths, services, signal, async ({ view, read }) => {
        const target = new TargetTree(view, epoch ?? Math.floor(services.now() / 1000));
        const owner = user === '' ? { uid: 0, gid: undefined } : await resolveOwner(user, read, 'ignore');
        target.makeFolders(target.resolve(treePath(path)), { mode: 0o755, ...owner });
        return services.store.layers.write(layerEntries(parent, target.entries(), view, target.now), signal);
      });
      return withLayer(parent, storedLayer(layer.diffId));
    },
  };
}
