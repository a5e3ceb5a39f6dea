/** What must be mounted to see a file tree. The same shape as the store's MountSpec; packages do not meet, so it stands here again. */
export type MountSpec =
  | {
      readonly kind: 'overlay';
      /** Topmost first. */
      readonly lower: readonly string[];
      readonly upper?: string | undefined;
      readonly work?: string | undefined;
      readonly options: readonly string[];
    }
  | { readonly kind: 'bind'; readonly source: string; readonly readOnly: boolean };

/** Something to be seen inside the container besides its root file system. `target` is absolute and clean; links in it are resolved inside the root by the executor. */
export type ContainerMount =
  /** `path` below a mounted tree, resolved by the caller: no component of it is a link. A writable one discards its changes. */
  | {
      readonly kind: 'tree';
      readonly target: string;
      readonly tree: MountSpec;
      readonly path: string;
      readonly readOnly: boolean;
    }
  /**
   * A folder or file of this machine: cache mounts, agent sockets. Made by the caller; not reached through links of an image. With
   * `path`, what lies there below it: links in the way are resolved with `source` as the root.
   */
  | {
      readonly kind: 'host';
      readonly target: string;
      readonly source: string;
      readonly path?: string | undefined;
      readonly readOnly: boolean;
    }
  /** `size` in bytes. */
  | {
      readonly kind: 'tmpfs';
      readonly target: string;
      readonly size?: number | undefined;
      readonly readOnly?: boolean | undefined;
    }
  /** A file that lives in memory only: secrets. */
  | {
      readonly kind: 'file';
      readonly target: string;
      readonly content: Uint8Array;
      readonly mode: number;
      readonly uid: number;
      readonly gid: number;
    };

/** Limits of one step, kept to by cgroups (see `createStepLimiter`). */
export interface Limits {
  /** Memory and swap together. */
  readonly memoryBytes?: number | undefined;
  /** Of the machine's processors: 0.5 is half the time of one. */
  readonly cpus?: number | undefined;
  /** Processes and threads. */
  readonly pids?: number | undefined;
}

/** One ephemeral container. */
export interface ContainerSpec {
  /** The root file system; writable. */
  readonly root: MountSpec;
  readonly args: readonly string[];
  /** `NAME=value`, exactly what the process gets; callers set HOME, since OCI runtimes add one where there is none. */
  readonly env: readonly string[];
  /** Absolute; exists in the root. */
  readonly cwd: string;
  readonly user: { readonly uid: number; readonly gid: number; readonly additionalGids: readonly number[] };
  readonly hostname: string;
  readonly mounts: readonly ContainerMount[];
  readonly network: 'host' | 'none';
  /** Addresses of the name servers, in place of this machine's. */
  readonly nameservers?: readonly string[] | undefined;
  /** `insecure`: all capabilities, no seccomp, no masked paths. */
  readonly security: 'sandbox' | 'insecure';
  /** Whether device nodes may work in it, as they do where it is insecure: a `DeviceGuard` keeps it from those that do harm. */
  readonly deviceNodes?: boolean | undefined;
  readonly extraHosts: readonly { readonly name: string; readonly address: string }[];
  readonly ulimits: readonly { readonly name: string; readonly soft: number; readonly hard: number }[];
  /** Bytes of /dev/shm. */
  readonly shmSize: number;
  /**
   * The beginning of a command of this machine that brings the container's processes where they belong (a cgroup, a network) and
   * then becomes the program that follows.
   */
  readonly launcher?: readonly string[] | undefined;
  /** `none`: /dev/null. `inherit`: this process's stdin, for `strake run -i`. */
  readonly stdin: 'none' | 'inherit';
  /** A terminal for `strake run -t`; needs stdin `inherit`. */
  readonly tty?: boolean | undefined;
  /**
   * How it is ended when its run is aborted, as `docker stop` does it: a first process that catches the signal gets it alone.
   * Default: SIGTERM to all processes, and the executor's grace.
   */
  readonly stop?: { readonly signal: NodeJS.Signals; readonly grace: number } | undefined;
}

/** How the container's first process ended. */
export interface ExitStatus {
  /** 0 to 255; 128 + signal where a signal ended it, as shells count. */
  readonly exitCode: number;
  readonly signal?: string | undefined;
  /** Why the program was never started; the exit code is 1 then, as OCI runtimes have it. */
  readonly notStarted?: 'missing' | 'denied' | undefined;
}

export interface RunOptions {
  readonly signal?: AbortSignal | undefined;
  /** Ends it at once, where `signal` has given it time. */
  readonly kill?: AbortSignal | undefined;
  /** Told when its first process is being started: where its root is mounted, in the mount namespace of this process. */
  readonly onStarted?: ((root: string) => void) | undefined;
  readonly onOutput: (stream: 'stdout' | 'stderr', data: Uint8Array) => void;
}

/**
 * Runs containers. Everything that a run mounts or starts is gone when its promise settles, also after an abort.
 * Mount points that the run had to make in the root and that are still empty afterwards are removed again.
 */
export interface Executor {
  readonly name: 'oci' | 'native' | 'chroot';
  run(spec: ContainerSpec, options: RunOptions): Promise<ExitStatus>;
}

/** The answer of one probe, for `strake doctor`. */
export interface Capability {
  readonly name: string;
  readonly available: boolean;
  /** What was tried and what came of it, in one line. */
  readonly detail: string;
  /** The one command or setting that would make it available. */
  readonly hint?: string | undefined;
}
