import type { EngineOptions as Settings } from '@strake/engine';

export type {
  BuildExplanation,
  CacheEntry,
  ContextSource,
  DiskUsage,
  DoctorCheck,
  DoctorReport,
  FileMap,
  ImageDetails,
  ImageSummary,
  MapEntry,
  MapFile,
  PruneOptions,
  PruneResult,
  RunImageOptions,
  SshSource,
  StepReason,
  StepReport,
  TransferImageOptions,
  UlimitSpec,
} from '@strake/engine';

/** What {@link createEngine} takes. */
export interface EngineOptions extends Settings {
  /** Where settings (`STRAKE_ROOT`, `DOCKER_CONFIG` ...) and credentials are looked up; default: this process's environment. */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
}
