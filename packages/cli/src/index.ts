export { isStrakeError, StrakeError } from '@strake/core';
export type {
  ContainerConfig,
  Descriptor,
  Digest,
  Healthcheck,
  HistoryEntry,
  ImageConfig,
  Platform,
  ProgressEvent,
  ProgressSink,
  SourceLocation,
  StrakeErrorFields,
} from '@strake/core';
export type { BuildOptions, Output, Secret } from './library/build-options.js';
export type { Build, BuildResult, BuildStep } from './library/build.js';
export { build, createEngine } from './library/engine.js';
export type { Engine } from './library/engine.js';
export type { BuildEvent } from './library/event-queue.js';
export type {
  BuildExplanation,
  CacheEntry,
  ContextSource,
  DiskUsage,
  DoctorCheck,
  DoctorReport,
  EngineOptions,
  FileMap,
  ImageDetails,
  ImageSummary,
  Limits,
  MapEntry,
  MapFile,
  Plan,
  PlannedStep,
  PlanWarning,
  PruneOptions,
  PruneResult,
  RunImageOptions,
  SshSource,
  StepReason,
  StepReport,
  StepSettings,
  TransferImageOptions,
  UlimitSpec,
  WatchCause,
  WatchedStep,
  WatchEvent,
  WatchResult,
  WatchRun,
} from './library/types.js';
export { watch } from './library/watch.js';
export type { WatchOptions } from './library/watch.js';
