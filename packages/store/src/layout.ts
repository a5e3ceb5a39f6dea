import { createHash } from 'node:crypto';
import { join } from 'node:path';

import { hexOf, type Digest } from '@strake/core';

/** The format of what this version writes; see {@link StoreLayout.format}. */
export const FORMAT_VERSION = 1;

/** Where everything lies below the root of a store. All paths are absolute. */
export interface StoreLayout {
  readonly root: string;
  /** A file with the format version. */
  readonly format: string;
  readonly blobs: string;
  readonly layers: string;
  readonly refs: string;
  readonly cache: string;
  readonly contexts: string;
  readonly mounts: string;
  /** Unpacked trees and writable snapshots. Short names: overlay's mount options have room for 4096 bytes. */
  readonly snapshots: string;
  readonly leases: string;
  readonly locks: string;
  readonly tmp: string;
}

export function storeLayout(root: string): StoreLayout {
  const at = (name: string): string => join(root, name);
  return {
    root,
    format: at('format'),
    blobs: at('blobs/sha256'),
    layers: at('layers'),
    refs: at('refs'),
    cache: at('cache'),
    contexts: at('contexts'),
    mounts: at('mounts'),
    snapshots: at('snapshots'),
    leases: at('leases'),
    locks: at('locks'),
    tmp: at('tmp'),
  };
}

/** A file name for a text of any length and characters: no text from outside becomes a path. */
export function fileNameOf(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 40);
}

export function blobPath(layout: StoreLayout, digest: Digest): string {
  return `${layout.blobs}/${hexOf(digest)}`;
}

/** A cache record: below folders of two digits. */
export function recordPath(layout: StoreLayout, key: Digest): string {
  const hex = hexOf(key);
  return `${layout.cache}/${hex.slice(0, 2)}/${hex}`;
}

export function referencePath(layout: StoreLayout, name: string): string {
  return `${layout.refs}/${fileNameOf(name)}`;
}

/** The folder of the notes of builds. */
export function journalFolder({ root }: StoreLayout): string {
  return `${root}/builds`;
}

export function notePath(layout: StoreLayout, name: string): string {
  return `${journalFolder(layout)}/${fileNameOf(name)}`;
}

/** What is known of a layer. */
export function layerInfoPath(layout: StoreLayout, diffId: Digest): string {
  return `${layerPath(layout, diffId)}/info`;
}

/** The folder of a layer's facts and index. */
export function layerPath(layout: StoreLayout, diffId: Digest): string {
  return `${layout.layers}/${hexOf(diffId)}`;
}
