export { isStrakeError, StrakeError } from '@strake/core';
export type { ProgressEvent, ProgressSink, SourceLocation } from '@strake/core';
export { createEngine } from '@strake/engine';
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
} from '@strake/engine';
