import type { ContextSource, StepReason } from '@strake/builder';
import type { Descriptor, Digest, ImageConfig, Platform, ProgressSink } from '@strake/core';
import type { HostContact } from '@strake/runtime';

import type { AgentProcess } from './agent-process.js';
import type { BuildMemory } from './build-memory.js';
import type { BuildEvidence } from './evidence.js';
import type { Plan } from './plan-call.js';
import type { StepSettings } from './step-settings.js';
import type { TreeChange } from './container-changes.js';

/** A secret of a build: from a file or from an environment variable of this process, or the bytes themselves. */
export interface SecretSource {
  readonly id: string;
  readonly file?: string | undefined;
  readonly env?: string | undefined;
  readonly value?: Uint8Array | undefined;
}

/** An agent socket, or private key files, given to steps with `--mount=type=ssh`. No paths: `$SSH_AUTH_SOCK`. */
export interface SshSource {
  readonly id: string;
  readonly paths: readonly string[];
}

/** One `--output`: the type with its attributes as given (`dest`, `name`, `push`, `compression`, ...). */
export interface OutputSpec {
  readonly type: 'image' | 'registry' | 'oci' | 'docker' | 'local' | 'tar' | 'cacheonly';
  readonly attributes: Readonly<Record<string, string>>;
}

/** What `strake build` and `build()` take. Meanings as of the flags of `docker buildx build`. */
export interface BuildOptions extends StepSettings {
  /** A folder, `-` (a tar or a Dockerfile on stdin), a URL; or files in memory, or a stream of a tar. */
  readonly context: ContextSource;
  /** Path of the Dockerfile, or `-` for stdin; default: `Dockerfile` in the context. */
  readonly file?: string | undefined;
  /** The text of the Dockerfile, instead of a file. */
  readonly dockerfile?: string | undefined;
  readonly tags?: readonly string[] | undefined;
  readonly target?: string | undefined;
  readonly buildArgs?: Readonly<Record<string, string>> | undefined;
  /** `name` to folder, `docker-image://`, `oci-layout://` or URL; or to files in memory, or a stream of a tar. */
  readonly buildContexts?: Readonly<Record<string, ContextSource>> | undefined;
  readonly labels?: Readonly<Record<string, string>> | undefined;
  /** As given: `[type[platform]:]key=value`. */
  readonly annotations?: readonly string[] | undefined;
  readonly platforms?: readonly string[] | undefined;
  readonly noCache?: boolean | undefined;
  /** Stages that do not use the cache. */
  readonly noCacheFilter?: readonly string[] | undefined;
  readonly pull?: boolean | undefined;
  readonly outputs?: readonly OutputSpec[] | undefined;
  readonly secrets?: readonly SecretSource[] | undefined;
  readonly ssh?: readonly SshSource[] | undefined;
  readonly stdin?: NodeJS.ReadableStream | undefined;
  /** Also say how large the image is. */
  readonly measure?: boolean | undefined;
  /** Keeps what this build reads of local folders for the next one with the same memory. One build at a time. */
  readonly memory?: BuildMemory | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onEvent?: ProgressSink | undefined;
  /** Told of the steps of a build that fails: those that ended, and the one that failed. */
  readonly onFailure?: ((steps: readonly StepReport[]) => void) | undefined;
  /** Told of a build that was answered from the cache what its result hangs on, where that can be looked at again. */
  readonly onEvidence?: ((evidence: BuildEvidence) => void) | undefined;
}

export type { StepReason } from '@strake/builder';

/** One step of a finished build. */
export interface StepReport {
  readonly id: string;
  readonly name: string;
  readonly cached: boolean;
  /** Milliseconds. */
  readonly duration: number;
  /** Only where the build failed at it. */
  readonly failed?: true;
  readonly key?: Digest | undefined;
  /** Why it ran; empty where it was cached. */
  readonly reasons: readonly StepReason[];
  /** The hosts that it asked its proxy for, where `allowHosts` gave it one. */
  readonly hosts?: readonly HostContact[] | undefined;
}

/** A build as it is remembered. */
export interface BuildExplanation {
  /** When it ended; milliseconds since 1970. */
  readonly time: number;
  readonly steps: readonly StepReport[];
}

export interface BuildResult {
  /** Of the manifest (or of the index of several platforms); undefined for outputs that make no image. */
  readonly image?: Descriptor | undefined;
  readonly configDigest?: Digest | undefined;
  readonly config?: ImageConfig | undefined;
  /** Bytes of the layers of the first platform, unpacked; where `measure` asked for it. */
  readonly size?: number | undefined;
  /** Canonical names that the image was stored or pushed under. */
  readonly names: readonly string[];
  readonly steps: readonly StepReport[];
  /** Milliseconds of the whole build. */
  readonly duration: number;
  /** What `--metadata-file` gets: BuildKit's `containerimage.*` keys. */
  readonly metadata: Readonly<Record<string, unknown>>;
}

/** A line of `strake images`. Sizes in bytes. */
export interface ImageSummary {
  /** Canonical name. */
  readonly name: string;
  readonly target: Descriptor;
  readonly configDigest: Digest;
  readonly created?: string | undefined;
  readonly size: number;
  readonly platform: Platform;
}

export interface ImageDetails extends ImageSummary {
  readonly manifest: unknown;
  readonly config: ImageConfig;
  readonly layers: readonly { readonly diffId: Digest; readonly size: number; readonly descriptor?: Descriptor }[];
}

export interface RunImageOptions {
  readonly image: string;
  /** Replaces the image's CMD; with an ENTRYPOINT it is its arguments. */
  readonly command?: readonly string[] | undefined;
  readonly entrypoint?: string | undefined;
  /** `NAME=value`. */
  readonly env?: readonly string[] | undefined;
  readonly workdir?: string | undefined;
  readonly user?: string | undefined;
  readonly hostname?: string | undefined;
  readonly network?: 'host' | 'none' | undefined;
  readonly interactive?: boolean | undefined;
  readonly tty?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onOutput: (stream: 'stdout' | 'stderr', data: Uint8Array) => void;
  readonly onEvent?: ProgressSink | undefined;
}

/** What came of bringing a running container's files up to date: the paths that were changed, or why not. */
export type SyncOutcome = { readonly paths: readonly string[] } | { readonly refused: string };

/** A container under way. It ends with its engine. */
export interface RunningContainer {
  /** Its exit code; rejected with `CANCELLED` where it was stopped. */
  readonly exited: Promise<number>;
  readonly running: boolean;
  /** Sends the image's stop signal, and SIGKILL after the grace period; resolves when all its processes have ended. */
  stop(): Promise<void>;
  /** The same without waiting. */
  kill(): Promise<void>;
  /**
   * Makes its files those of another image, where only files differ: what the container itself has written elsewhere stays. No
   * link is followed in it.
   */
  sync(image: string): Promise<SyncOutcome>;
  /** Paths of the image's layers that are not in it as the image has them: what it has changed itself, too. */
  differences(): Promise<readonly string[]>;
  /**
   * Puts the files at PATHS, absolute, into it as they will be in the next image, where that is plain before it is built: a COPY
   * after which nothing runs takes them. Else nothing. MEMORY was told of them. The next `sync` makes good what was not so.
   */
  bring(memory: BuildMemory, paths: readonly string[], signal?: AbortSignal): Promise<void>;
  /** Whether `bring` has changed something since the last `sync`. */
  readonly isAhead: boolean;
  /** Changes files of it. */
  change(changes: readonly TreeChange[]): Promise<SyncOutcome>;
}

export interface TransferImageOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onEvent?: ProgressSink | undefined;
}

export interface SaveImageOptions extends TransferImageOptions {
  /** A file, or `-` for standard output. */
  readonly dest: string;
  /** `docker` (the default) is read by `docker load`, too; `oci` is a plain OCI image layout. */
  readonly format?: 'docker' | 'oci' | undefined;
}

export interface LoadImagesOptions {
  /** A name instead of what the archive says, for the only image of an archive. */
  readonly name?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Something of the build cache. Sizes in bytes, times in milliseconds since 1970. */
export interface CacheEntry {
  readonly id: string;
  /** As BuildKit names it. */
  readonly type: 'regular' | 'internal' | 'source.local' | 'exec.cachemount';
  readonly description: string;
  readonly created: number;
  readonly used: number;
  /** Of all that it holds; several may hold the same. */
  readonly size: number;
  /** Whether named images hold all of that too: then removing it gives no space back. */
  readonly shared: boolean;
}

/** What `strake prune` takes. */
export interface PruneOptions {
  /** Also what named images hold, and all unpacked trees: every build begins anew. */
  readonly all?: boolean | undefined;
  /** Also pulled images that no image built here stands on; with `all` every pulled one. */
  readonly images?: boolean | undefined;
  /** `until=24h`, `type=exec.cachemount`, `id=`, `description=`, `shared=`, `private=`; all must match. */
  readonly filters?: readonly string[] | undefined;
  /** Bytes of cache that may stay: what was used last longest ago goes first. */
  readonly keepStorage?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface PruneResult {
  readonly removed: readonly CacheEntry[];
  /** Names of images that were removed. */
  readonly names: readonly string[];
  /** Bytes that are free again, or, where `deferred`, will be. */
  readonly freed: number;
  /** Others work on the store: the last one of them gives the space back when it has ended. */
  readonly deferred: boolean;
}

/** What takes the space of the store. Sizes in bytes. */
export interface DiskUsage {
  readonly images: readonly {
    readonly name: string;
    readonly size: number;
    /** What goes with this image alone, where the cache does not hold it. */
    readonly unique: number;
    readonly pulled: boolean;
    readonly updated: number;
  }[];
  /** What named images hold, each byte counted once. */
  readonly imagesSize: number;
  readonly cache: readonly CacheEntry[];
  /** What the cache holds and no image does, each byte counted once. */
  readonly cacheSize: number;
  /** Unpacked trees, part of the sizes of what they belong to. */
  readonly unpacked: { readonly count: number; readonly size: number };
  /** Notes of builds, which explain the next ones; bounded by themselves. */
  readonly notes: { readonly count: number; readonly size: number };
  /** What nothing holds any more. */
  readonly garbage: { readonly count: number; readonly size: number };
  /** What automatic collection keeps to by default. */
  readonly limits: { readonly reserved: number; readonly maxUsed: number; readonly minFree: number };
}

/** A line of `strake doctor`. */
export interface DoctorCheck {
  readonly name: string;
  readonly ok: boolean;
  readonly detail: string;
  readonly hint?: string | undefined;
}

export interface DoctorReport {
  readonly checks: readonly DoctorCheck[];
  /** What a build would use here and why, for example `isolation: oci (runc 1.1.5)`. */
  readonly choices: readonly { readonly what: string; readonly choice: string; readonly why: string }[];
  /** Things that a crash left behind (paths); removed where `fix` was asked for. */
  readonly leftovers: readonly string[];
}

export interface CallResult {
  /** Text for people. */
  readonly text: string;
  /** What keeps the Dockerfile from being built, for standard error: text for people, too. */
  readonly error?: string | undefined;
  /** The same as data: what `format=json` prints. */
  readonly json: unknown;
  /** 1 where `check` found anything. */
  readonly exitCode: number;
}

/**
 * Builds and handles images on one store. Several calls may run at once.
 * Every method throws StrakeError for what a user can meet.
 */
export interface Engine {
  build(options: BuildOptions): Promise<BuildResult>;
  /** What a build would do, without running anything; of the network only base images are asked for. */
  plan(options: BuildOptions): Promise<Plan>;
  /** `--call`: `check`, `outline` or `targets` of a Dockerfile, without building. */
  call(method: 'check' | 'outline' | 'targets', options: BuildOptions): Promise<CallResult>;
  pull(
    name: string,
    options?: TransferImageOptions & { readonly platform?: string | undefined },
  ): Promise<ImageSummary>;
  push(name: string, options?: TransferImageOptions): Promise<Descriptor>;
  /** Writes an image to an archive; resolves to the manifest in it. */
  save(name: string, options: SaveImageOptions): Promise<Descriptor>;
  /** Brings the images of an archive into the store: of `docker save`, `strake save`, skopeo, or outputs of type oci or docker. */
  load(archive: AsyncIterable<Uint8Array>, options?: LoadImagesOptions): Promise<readonly ImageSummary[]>;
  images(): Promise<readonly ImageSummary[]>;
  /** By name, or by a prefix of the manifest's or config's digest. */
  inspect(name: string): Promise<ImageDetails>;
  tag(source: string, target: string): Promise<void>;
  /** Removes a name; the data goes with garbage collection. */
  remove(name: string): Promise<void>;
  /** Runs an image in an ephemeral container; resolves to its exit code. */
  run(options: RunImageOptions): Promise<number>;
  /** The same without waiting for its end. `grace`: milliseconds from stop signal to SIGKILL, default 10,000. `signal` only counts until it has started. */
  start(options: RunImageOptions & { readonly grace?: number | undefined }): Promise<RunningContainer>;
  /** Removes build cache and what nothing refers to; never what a named image holds or a running build uses. */
  prune(options?: PruneOptions): Promise<PruneResult>;
  diskUsage(): Promise<DiskUsage>;
  /** Why the steps of the last build, or of the one that made an image, ran. */
  explain(name?: string): Promise<BuildExplanation>;
  doctor(options?: { readonly fix?: boolean }): Promise<DoctorReport>;
  close(): Promise<void>;
}

export interface EngineOptions {
  /** Folder of the store; default `$STRAKE_ROOT`, else `/var/lib/strake` for root, else `$XDG_DATA_HOME/strake`. */
  readonly root?: string | undefined;
  readonly isolation?: 'auto' | 'oci' | 'native' | 'chroot' | undefined;
  readonly snapshotter?: 'auto' | 'overlay' | 'copy' | undefined;
  /** Registries (host[:port]) to talk to over plain http, or https without a valid certificate. */
  readonly insecureRegistries?: readonly string[] | undefined;
  /** Steps that run at once; default: 16, or four for each core. */
  readonly maxParallelism?: number | undefined;
  /** One build is all that this engine is for: its agent ends behind the last step, while the result is still being written. */
  readonly once?: boolean | undefined;
  /** The process of an agent that was started before the engine, see `spawnEarlyAgent`. The engine ends it. */
  readonly early?: AgentProcess | undefined;
}
