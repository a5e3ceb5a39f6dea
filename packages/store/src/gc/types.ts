import type { Digest } from '@strake/core';

/** Kinds of cached things, named as BuildKit names them where it has them. */
export type CacheType =
  /** The result of a step. */
  | 'regular'
  /** Remembered facts: content digests, downloads, contexts of bind mounts. */
  | 'internal'
  /** Digests of a context's files. */
  | 'source.local'
  /** A folder of `RUN --mount=type=cache`. */
  | 'exec.cachemount';

/** Something of the cache that can be removed by itself. Sizes in bytes, times in milliseconds since 1970. */
export interface CacheItem {
  /** The record's key, or `<folder>/<name>` below the store. */
  readonly id: string;
  readonly type: CacheType;
  /** A step's name; what else it is. */
  readonly description: string;
  readonly created: number;
  /** When a build used it last; of a step also: or what was built on it. */
  readonly used: number;
  /** Of all that it holds. */
  readonly size: number;
  /** What is held: layers and blobs. */
  readonly holds: readonly Digest[];
  /** Whether it holds something, and named images hold all of that too. */
  readonly shared: boolean;
}

/** A named image and what it holds. */
export interface HeldImage {
  readonly name: string;
  /** Bytes of all that it holds. */
  readonly size: number;
  /** Bytes that no other image holds. */
  readonly unique: number;
  /** Whether it was fetched from a registry, by `strake pull` or as a base image. */
  readonly pulled: boolean;
  readonly updated: number;
  /** Diff IDs of its platforms' layers, lowest first. */
  readonly chains: readonly (readonly Digest[])[];
  readonly holds: readonly Digest[];
}

/** All that a store holds, and why. Sizes in bytes. */
export interface Inventory {
  readonly images: readonly HeldImage[];
  readonly items: readonly CacheItem[];
  /** Bytes of a layer or blob, with compressed forms, index and unpacked trees, by digest. */
  readonly sizes: ReadonlyMap<Digest, number>;
  /** What running containers stand on: it stays, also unpacked. */
  readonly leased: ReadonlySet<Digest>;
  /** What neither an image nor the cache nor a lease holds: the next collection removes it. */
  readonly garbage: readonly Digest[];
  /** Unpacked trees; they are part of the layers' sizes. */
  readonly trees: { readonly count: number; readonly size: number };
}

/** Which cached things are to be removed. */
export interface CacheSelection {
  /** Also what named images hold. */
  readonly all?: boolean | undefined;
  /** Only what was used last before this; milliseconds since 1970. */
  readonly before?: number | undefined;
  readonly types?: readonly CacheType[] | undefined;
  /** Only items whose id begins so. */
  readonly ids?: readonly string[] | undefined;
  readonly shared?: boolean | undefined;
  /** Only items whose description contains all of these. */
  readonly descriptions?: readonly string[] | undefined;
  /** Bytes of cache (of `types`, where given) that may stay: what was used last longest ago goes first. Undefined: nothing stays. */
  readonly keep?: number | undefined;
}

/** What a collection did. */
export interface Collected {
  readonly removed: readonly CacheItem[];
  /** Names of images that were removed. */
  readonly names: readonly string[];
  /** Bytes given back. */
  readonly freed: number;
  /** Others are at work on the store: what was removed gives its space back when the last of them has ended. */
  readonly deferred: boolean;
}

/** Limits of automatic collection; bytes. */
export interface CollectionLimits {
  /** Cache that is never too much. */
  readonly reserved: number;
  readonly maxUsed: number;
  /** Free space on the file system to try to keep. */
  readonly minFree: number;
}
