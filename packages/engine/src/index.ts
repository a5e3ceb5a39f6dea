export { createEngine } from './engine.js';
export { login, logout } from '@strake/registry';
export { storeRoot } from './store-root.js';
export type {
  BuildOptions,
  BuildExplanation,
  BuildResult,
  CacheEntry,
  CallResult,
  DiskUsage,
  DoctorCheck,
  DoctorReport,
  Engine,
  EngineOptions,
  ImageDetails,
  ImageSummary,
  OutputSpec,
  PruneOptions,
  PruneResult,
  RunImageOptions,
  SecretSource,
  SshSource,
  StepReport,
  TransferImageOptions,
  UlimitSpec,
} from './types.js';
