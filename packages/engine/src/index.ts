export { createEngine } from './engine.js';
export { login, logout } from '@strake/registry';
export { storeRoot } from './store-root.js';
export type {
  BuildOptions,
  BuildResult,
  CallResult,
  DoctorCheck,
  DoctorReport,
  Engine,
  EngineOptions,
  ImageDetails,
  ImageSummary,
  OutputSpec,
  RunImageOptions,
  SecretSource,
  SshSource,
  StepReport,
  TransferImageOptions,
  UlimitSpec,
} from './types.js';
