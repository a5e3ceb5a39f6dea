import type { Platform } from '@strake/core';

import { selectSource } from '../copy/select.js';
import type { BuilderServices } from '../services.js';
import { copyVertex } from '../steps/copy.js';
import type { NamedSource, ResolvedImage } from './context.js';

/** A folder as a base image: its content as the one layer, no config, and no history. */
export function treeImage(
  source: Extract<NamedSource, { kind: 'tree' }>,
  platform: Platform,
  nextId: () => string,
  services: BuilderServices,
  caching: 'use' | 'renew',
): ResolvedImage {
  const select = { exclude: [], parents: false, unpack: false, where: source.where };
  const vertex = copyVertex(
    {
      id: nextId(),
      name: `FROM ${source.where}`,
      caching,
      parent: undefined,
      stage: undefined,
      source: { kind: 'outside', online: false, find: () => Promise.resolve(selectSource(source.tree, '/', select)) },
      destination: '/',
      chown: undefined,
      mode: undefined,
      chmod: undefined,
    },
    services,
  );
  return { vertex, config: undefined, layerCount: 1, platform, layerName: source.layerName };
}
