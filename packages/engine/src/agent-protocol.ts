import type { ParentChain, StepSpec } from '@strake/builder';
import type { Capability, ExitStatus, HostContact, Limits } from '@strake/runtime';
import type { LayerInfo, OutlinePath } from '@strake/store';

import type { SnapshotterChoice } from './choose-snapshotter.js';
import type { ExpectedEntry, TreeChange } from './container-changes.js';
import type { StepIds } from './user-ids.js';

/** How an agent is set up; the first message to it. */
export interface AgentSetup {
  readonly storeRoot: string;
  readonly snapshotter: 'auto' | 'overlay' | 'copy';
  readonly isolation: 'auto' | 'oci' | 'native' | 'chroot';
  /** Which ids it has: but for `all`, it runs in a user namespace that was made for it. */
  readonly ids: StepIds;
  /** Whether it has namespaces of its own. Without them it can do nothing but chroot, and ends what it has started by itself. */
  readonly namespaces: boolean;
  /** `holder` of the builder's store: what this agent holds, it holds for that process. */
  readonly parent: string;
  /** Programs beside the bundle; undefined where packages are run as they are built. */
  readonly worker?: string | undefined;
  readonly nativeInit?: string | undefined;
  readonly stepNetwork?: string | undefined;
}

/** The calls that an agent answers: arguments and result by name. */
export interface AgentMethods {
  /** Answered as soon as it runs. */
  hello: { args: Record<string, never>; result: undefined };
  run: {
    args: { readonly parent: ParentChain; readonly spec: StepSpec; readonly keep: boolean };
    result: {
      readonly exit: ExitStatus;
      readonly snapshot: string | undefined;
      readonly hint?: string | undefined;
      readonly unlimited?: readonly (keyof Limits)[] | undefined;
      readonly contacts?: readonly HostContact[] | undefined;
    };
  };
  /** Changes files of a running container, named by its `run` call; the paths that could not be reached. */
  change: { args: { readonly run: number; readonly changes: readonly TreeChange[] }; result: readonly string[] };
  /** The paths of a running container that are not as expected. */
  compare: {
    args: { readonly run: number; readonly expected: readonly ExpectedEntry[] };
    result: readonly string[];
  };
  commit: { args: { readonly snapshot: string }; result: LayerInfo };
  /** `Snapshotter.outline` of a frozen snapshot. */
  outline: {
    args: { readonly snapshot: string; readonly paths: readonly OutlinePath[] };
    result: Uint8Array | undefined;
  };
  /** What can run containers here, in the order of preference; the first available one is used. */
  probe: {
    args: Record<string, never>;
    result: {
      readonly capabilities: readonly Capability[];
      /** The name of the one that is used; undefined where none works. */
      readonly runtime: string | undefined;
      readonly reason: string;
      readonly snapshotter: SnapshotterChoice | undefined;
    };
  };
  removeTree: { args: { readonly path: string }; result: undefined };
}
