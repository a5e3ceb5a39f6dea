export { chooseExecutor } from './choose.js';
export type { ChooseOptions, ChosenExecutor } from './choose.js';
export { createNativeExecutor } from './native-executor.js';
export type { NativeExecutorOptions } from './native-executor.js';
export { createStepLimiter, openCgroups } from './step-limits.js';
export type { StepCgroups, StepLimiter } from './step-limits.js';
export { runNativeInit } from './native-init.js';
export { createOciExecutor } from './oci-executor.js';
export type { OciExecutorOptions } from './oci-executor.js';
export { probeRuntimes } from './probe.js';
export type { ProbedRuntime, ProbeOptions, RuntimeName } from './probe.js';
export { requireOwner } from './user-namespace.js';
export { resolveUser } from './user.js';
export type { ResolvedUser, UserFiles } from './user.js';
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
