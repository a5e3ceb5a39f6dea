import type { Limits } from '@strake/runtime';

/** As of setrlimit(2): `nofile`, `nproc`, ...; -1 stands for no limit. */
export interface UlimitSpec {
  readonly name: string;
  readonly soft: number;
  readonly hard: number;
}

/** What holds for the RUN steps of a build, and for how long it may take. */
export interface StepSettings {
  /** Of RUN steps. `private`: everything but this machine's loopback device, through slirp4netns. */
  readonly network?: 'default' | 'host' | 'none' | 'private' | undefined;
  /**
   * The only hosts that RUN steps may reach, through a proxy that http(s)_proxy names: `host`, `host:port`, `*.domain`; without a port
   * 80 and 443. Undefined: all.
   */
  readonly allowHosts?: readonly string[] | undefined;
  /** `name:address` or `name=address`. */
  readonly addHosts?: readonly string[] | undefined;
  readonly ulimits?: readonly UlimitSpec[] | undefined;
  /** Size of /dev/shm, in bytes; 0: the usual 64 MiB. */
  readonly shmSize?: number | undefined;
  /** Of each step, where this machine's cgroups allow; a warning tells where not. */
  readonly limits?: Limits | undefined;
  /** Milliseconds that a step may take; it is stopped then, and the build fails with `STEP_TIMEOUT`. */
  readonly stepTimeout?: number | undefined;
  /** Milliseconds that the whole build may take; it is cancelled then, and fails with `BUILD_TIMEOUT`. */
  readonly timeout?: number | undefined;
  /** Entitlements: `network.host`, `security.insecure`. */
  readonly allow?: readonly string[] | undefined;
}
