export type { StoreErrorCode } from './errors.js';
export type { CollectOptions } from './gc/collect.js';
export type {
  CacheItem,
  CacheSelection,
  CacheType,
  Collected,
  CollectionLimits,
  HeldImage,
  Inventory,
} from './gc/types.js';
export { cacheSize } from './gc/select.js';
export { createSnapshotter } from './snapshot/create.js';
export type { SnapshotterOptions } from './snapshot/create.js';
export type { LayerOutline, OutlinePath } from './layer/layer-outline.js';
export type { StagedLayer } from './layer/staged-layer.js';
export type { MountSpec, Snapshot, Snapshotter } from './snapshot/types.js';
export { openStore } from './store.js';
export type { StoreOptions } from './store.js';
export type { ContentSource, EntryFacts, EntryType, LayerEntry, LinkedNode, Segments } from './entries.js';
export type {
  Archive,
  ArchiveEntry,
  BlobStore,
  CacheMountStore,
  ContextNotes,
  GrowingLayer,
  HeldCacheMount,
  SizedPath,
  ImageRecord,
  Journal,
  LayerInfo,
  LayerStore,
  Lease,
  Leftover,
  RecordStore,
  ReferenceStore,
  Store,
  StoredFile,
  TreeView,
  ViewEntry,
} from './types.js';
