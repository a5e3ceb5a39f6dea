export { createChrootExecutor } from './chroot/executor.js';
export type { Loan } from './chroot/assembly.js';
export type { ChrootExecutorOptions } from './chroot/executor.js';
export { chooseExecutor } from './choose.js';
export type { ChooseOptions, ChosenExecutor } from './choose.js';
export { endRooted, processesRootedBelow } from './chroot/rooted.js';
export { createNativeExecutor } from './native-executor.js';
export type { NativeExecutorOptions } from './native-executor.js';
export { parseEgressRule } from './egress-rules.js';
export type { EgressRule } from './egress-rules.js';
export type { HostContact } from './egress-proxy.js';
export { openStepNetwork } from './step-network.js';
export type { StepNetwork, StepNetworkOptions } from './step-network.js';
export { createStepLimiter, openCgroups } from './step-limits.js';
export type { StepCgroups, StepLimiter } from './step-limits.js';
export { cgroupFiles } from './cgroup-places.js';
export type { CgroupFiles } from './cgroup-places.js';
export { openDeviceGuard, removeDeviceGuards } from './device-guard.js';
export type { DeviceGuard } from './device-guard.js';
export { runNativeInit } from './native-init.js';
export { createOciExecutor } from './oci-executor.js';
export type { OciExecutorOptions } from './oci-executor.js';
export { Orphans } from './orphans.js';
export { overlayFailure } from './probe-overlay.js';
export { probePlace } from './probe-place.js';
export type { PlaceOptions } from './probe-place.js';
export { probeRuntimes } from './probe.js';
export type { ProbedRuntime, ProbeOptions, RuntimeName } from './probe.js';
export { inUserNamespace, requireOwner } from './user-namespace.js';
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
