export { createOciExecutor } from './oci-executor.js';
export type { OciExecutorOptions } from './oci-executor.js';
export type {
  Capability,
  ContainerMount,
  ContainerSpec,
  Executor,
  ExitStatus,
  Limits,
  MountSpec,
  RunOptions,
} from './types.js';
