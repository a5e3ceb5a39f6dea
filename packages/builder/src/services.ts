import type { Digest, ProgressSink } from '@strake/core';
import type { RegistryClient } from '@strake/registry';
import type {
  ContainerMount,
  ContainerSpec,
  ExitStatus,
  RunOptions,
  Limits,
  EgressRule,
  HostContact,
} from '@strake/runtime';
import type { LayerInfo, OutlinePath, Store } from '@strake/store';

import type { SelectedFact } from './explain/types.js';
import type { KeptTrees } from './source/kept-trees.js';
import type { FolderLook } from './tree/recall.js';
import type { Witness } from './witness.js';

/** Layers or frozen snapshots, lowest first: what a snapshot can stand on. */
export type ParentChain = readonly (Digest | { readonly snapshot: string })[];

/** What a step sees besides its root: a mount of the runtime, or a path in a chain of layers. */
export type StepMount =
  | Exclude<ContainerMount, { readonly kind: 'tree' }>
  | {
      readonly kind: 'layers';
      readonly target: string;
      readonly chain: ParentChain;
      /** Absolute within the chain's tree; no component of it is a link. */
      readonly path: string;
      readonly readOnly: boolean;
    }
  /** A socket of this machine, given to the step's user. */
  | {
      readonly kind: 'socket';
      readonly target: string;
      readonly source: string;
      readonly mode: number;
      readonly uid: number;
      readonly gid: number;
    }
  /** A persistent folder of the store; filled from `base` when it is new. */
  | {
      readonly kind: 'cache';
      readonly target: string;
      readonly folder: string;
      /** What is mounted: a folder below it, or all of it. */
      readonly path?: string | undefined;
      readonly base?: { readonly chain: ParentChain; readonly path: string } | undefined;
      readonly mode: number;
      readonly uid: number;
      readonly gid: number;
      readonly readOnly: boolean;
      /** Throw away what earlier builds left in it: `--no-cache`. */
      readonly renew: boolean;
    };

/** One RUN. `user` as in the image config: resolved in the step's own root file system. */
export interface StepSpec extends Omit<ContainerSpec, 'root' | 'user' | 'mounts' | 'launcher'> {
  readonly user: string;
  readonly limits?: Limits | undefined;
  /**
   * A network of its own: with the machine's uplink but not its loopback device, or with a proxy that lets some hosts through
   * (`upstream`: the address of a proxy that this one goes through). Undefined: as `network` says.
   */
  readonly ownNetwork?: 'uplink' | { readonly rules: readonly EgressRule[]; readonly upstream?: string } | undefined;
  readonly mounts: readonly StepMount[];
}

/** Runs steps and turns what they wrote into layers: wherever that needs privileges, in another process. */
export interface Sandbox {
  /**
   * Runs a step on top of PARENT. The snapshot that results is frozen: it can be a parent at once, also while it is committed.
   * Where the step fails (exit code not 0), nothing is left of it and `snapshot` is undefined; `hint` may tell what this machine
   * has to do with it. `unlimited` are the limits that could not be kept to, `contacts` the hosts that it
   * has asked its proxy for.
   */
  run(
    parent: ParentChain,
    spec: StepSpec,
    options: RunOptions,
  ): Promise<{
    readonly exit: ExitStatus;
    readonly snapshot: string | undefined;
    readonly hint?: string | undefined;
    readonly unlimited?: readonly (keyof Limits)[] | undefined;
    readonly contacts?: readonly HostContact[] | undefined;
  }>;
  /** The layer that a frozen snapshot stands for. */
  commit(snapshot: string, signal?: AbortSignal): Promise<LayerInfo>;
  /** What a frozen snapshot has at PATHS, as the bytes of a layer's index: before its layer is written, or undefined. */
  outline(snapshot: string, paths: readonly OutlinePath[], signal?: AbortSignal): Promise<Uint8Array | undefined>;
}

/** Everything that a build uses and does not make itself. */
export interface BuilderServices {
  readonly store: Store;
  /** Made at the first call: a build that needs no registry pays nothing. */
  readonly registry: () => Promise<RegistryClient>;
  /** Started at the first call. */
  readonly sandbox: () => Promise<Sandbox>;
  /** Extended attributes of a local file that belong into a layer, by name as latin1 text; undefined where there are none. */
  readonly xattrs: (path: string) => Readonly<Record<string, string>> | undefined;
  /** Looks at many files below a folder at once; undefined: one after the other. */
  readonly openLook?: ((root: string) => FolderLook) | undefined;
  /** A secret's bytes; undefined where the build was not given it. */
  readonly secret: (id: string, signal?: AbortSignal) => Promise<Uint8Array | undefined>;
  /** A socket that speaks the ssh agent protocol, for one step; undefined where the build was not given it. */
  readonly sshSocket: (id: string) => Promise<{ readonly path: string; close(): Promise<void> } | undefined>;
  /** Folders of cache mounts that this build has emptied (`--no-cache`): its further steps share what it puts there. */
  readonly renewedCaches: Set<string>;
  /** Of a plan: what its steps would take, by the digest of the selection. A build notes that as steps run. */
  readonly selections?: Map<Digest, () => readonly SelectedFact[]> | undefined;
  readonly emit: ProgressSink;
  /** Hosts that steps have asked for, by the steps' ids. */
  readonly contacts: Map<string, readonly HostContact[]>;
  /** Warnings that this build has given and does not repeat. */
  readonly warned: Set<string>;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Registers what is to be done when the build ends, however it ends: temporary folders, holds on blobs. */
  readonly onCleanup: (cleanup: () => Promise<void>) => void;
  /** The proxy (user name and password included) that downloads from an address go through; undefined: none. */
  readonly proxyFor?: ((url: URL) => URL | undefined) | undefined;
  /** Where the files of local contexts are kept for the next build of this process; undefined: each build reads its own. */
  readonly kept?: KeptTrees | undefined;
  /** Told what the build's result hangs on; undefined: nobody asks. */
  readonly witness?: Witness | undefined;
  /** Environment in which git finds itself, its proxies and certificates; default: this process's. */
  readonly environment?: Readonly<Record<string, string | undefined>> | undefined;
}
