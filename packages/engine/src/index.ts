export { createBuildMemory, type BuildMemory } from './build-memory.js';
export type { AgentProcess } from './agent-process.js';
export { createEngine } from './engine.js';
export { login, logout } from './authentication.js';
export type { BuildEvidence } from './evidence.js';
export type { WatchCause, WatchedStep, WatchEvent, WatchOptions, WatchRun } from './watch/types.js';
export { watch } from './watch/index.js';
export { IdleMemory } from '@strake/sys';
export type { ContextSource, FileMap, MapEntry, MapFile, PlannedStep } from '@strake/builder';
export type { Plan, PlanWarning } from './plan-call.js';
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
  LoadImagesOptions,
  RunImageOptions,
  SaveImageOptions,
  SecretSource,
  SshSource,
  StepReason,
  StepReport,
  TransferImageOptions,
} from './types.js';
export type { StepSettings, UlimitSpec } from './step-settings.js';
export type { Limits } from '@strake/runtime';
