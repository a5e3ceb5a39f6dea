import { canonicalJson, digestOf, type Digest } from '@strake/core';

import { planCopy } from '../copy/plan.js';
import { selectSource } from '../copy/select.js';
import { selectionDigest, selectionFacts, selectionSize, unnamed } from '../copy/selection.js';
import { TargetTree } from '../copy/target-tree.js';
import { noteSelection } from '../explain/selection-notes.js';
import type { BuilderServices, ParentChain } from '../services.js';
import { parentPath, treePath } from '../tree/paths.js';
import type { SourceTree } from '../tree/source-tree.js';

/**
 * A part of a local context, or of a tree for Windows, as a layer of its own, for a bind mount: what the step sees is what its key was made of, whatever
 * happens to the files meanwhile. Written once for the same content.
 */
export async function contextLayer(
  tree: SourceTree,
  source: string,
  where: string,
  services: BuilderServices,
  signal: AbortSignal,
): Promise<{ chain: ParentChain; path: string }> {
  const { layers, records } = services.store;
  const sources = selectSource(tree, source, { exclude: [], parents: false, unpack: false, literal: true, where });
  const [selected] = sources;
  const path = treePath(source);
  if (!selected) return { chain: [], path: '/' };
  const content = await selectionDigest(unnamed(sources), signal);
  await noteSelection(services.store.journal, content, () => selectionFacts(sources), selectionSize(sources));
  const key = digestOf(canonicalJson({ kind: 'context layer', version: 2, path, content }));
  const remembered = await records.get<{ diffId: Digest }>(key);
  if (remembered && (await layers.info(remembered.diffId))) return { chain: [remembered.diffId], path: `/${path}` };
  const target = new TargetTree(undefined, Math.floor(services.now() / 1000));
  target.makeFolders(selected.entry.type === 'directory' ? path : parentPath(path), { mode: 0o755, uid: 0, gid: 0 });
  planCopy(target, selected, `/${path}`, {});
  if (selected.entry.type === 'directory' && path !== '') {
    target.put(path, { facts: { ...selected.entry, size: 0 } });
  }
  const { diffId } = await layers.write(target.entries(), signal);
  await records.put(key, { diffId });
  return { chain: [diffId], path: `/${path}` };
}
