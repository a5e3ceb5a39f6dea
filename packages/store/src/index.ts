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
export type {
  Archive,
  ArchiveEntry,
  BlobStore,
  CacheMountStore,
  ContentSource,
  ContextNotes,
  EntryFacts,
  EntryType,
  GrowingLayer,
  HeldCacheMount,
  SizedPath,
  ImageRecord,
  Journal,
  LayerEntry,
  LayerInfo,
  LayerStore,
  Lease,
  Leftover,
  RecordStore,
  ReferenceStore,
  Segments,
  Store,
  StoredFile,
  TreeView,
  ViewEntry,
} from './types.js';
