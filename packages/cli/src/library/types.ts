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
  Plan,
  PlannedStep,
  PlanWarning,
  PruneOptions,
  PruneResult,
  RunImageOptions,
  SshSource,
  StepReason,
  StepReport,
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

/** Limits of each step, kept to by cgroups. */
export interface Limits {
  /** Memory and swap together. */
  readonly memoryBytes?: number | undefined;
  /** Of the machine's processors: 0.5 is half the time of one. */
  readonly cpus?: number | undefined;
  /** Processes and threads. */
  readonly pids?: number | undefined;
}
