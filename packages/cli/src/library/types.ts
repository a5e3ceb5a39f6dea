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
  WatchRun,
} from '@strake/engine';
export type { BuildResult as WatchResult } from '@strake/engine';

/** What {@link createEngine} takes. */
export interface EngineOptions {
  /** Folder of the store; default `$STRAKE_ROOT`, else `/var/lib/strake` for root, else `$XDG_DATA_HOME/strake`. */
  readonly root?: string | undefined;
  /** What steps run in; default: the first of these that this machine lets work. */
  readonly isolation?: 'auto' | 'oci' | 'native' | 'chroot' | undefined;
  readonly snapshotter?: 'auto' | 'overlay' | 'copy' | undefined;
  /** Registries (host[:port]) to talk to over plain http, or https without a valid certificate. */
  readonly insecureRegistries?: readonly string[] | undefined;
  /** Steps that run at once; default: 16, or four for each core. */
  readonly maxParallelism?: number | undefined;
  /** Where settings (`STRAKE_ROOT`, `DOCKER_CONFIG` ...) and credentials are looked up; default: this process's environment. */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
}
