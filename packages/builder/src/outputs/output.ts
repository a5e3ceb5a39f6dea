import type { Descriptor, ProgressSink } from '@strake/core';
import type { RegistryClient } from '@strake/registry';
import type { Store } from '@strake/store';

import { parseBool } from '@strake/parser';
import { annotationAttributes, type Annotation } from './annotations.js';
import { builderError } from '../errors.js';
import type { BuiltImage, Compression, ManifestOptions } from '../image.js';
import type { ChainResult } from '../result.js';

/** What an output may use. */
export interface OutputContext {
  readonly store: Store;
  readonly registry: () => Promise<RegistryClient>;
  readonly signal: AbortSignal;
  readonly emit: ProgressSink;
  readonly now: () => number;
  /** Where `dest=-` goes. */
  readonly stdout: NodeJS.WritableStream;
  /** The id of the display's step for this output. */
  readonly id: string;
  /** Canonical names of `-t` and `name=`. */
  readonly names: readonly string[];
  readonly annotations: readonly Annotation[];
  /** Also one platform gets what several get: an index, folders of their own. */
  readonly multiPlatform?: boolean | undefined;
  /** SOURCE_DATE_EPOCH, in seconds since 1970. */
  readonly epoch?: number | undefined;
}

/** A platform's result: the image to be, and its file tree. */
export interface PlatformResult {
  readonly image: BuiltImage;
  readonly chain: ChainResult;
}

/** What an output made. */
export interface OutputResult {
  /** The manifest, or the index of several platforms. */
  readonly descriptor?: Descriptor | undefined;
  readonly names: readonly string[];
}

/** Attributes of an `--output` that are about layers' form. @throws StrakeError `OUTPUT_INVALID` */
export function manifestOptions(
  attributes: Readonly<Record<string, string>>,
  defaultCompression: Compression,
  annotations: readonly Annotation[],
): ManifestOptions {
  const compression = attributes['compression'] ?? defaultCompression;
  if (compression !== 'uncompressed' && compression !== 'gzip' && compression !== 'zstd') {
    throw builderError('OUTPUT_INVALID', `unknown compression "${compression}"`, {
      hint: 'Strake knows uncompressed, gzip and zstd.',
    });
  }
  const level = attributes['compression-level'];
  if (level !== undefined && !/^\d{1,2}$/.test(level)) {
    throw builderError('OUTPUT_INVALID', `"${level}" is not a compression level`);
  }
  const oci = attributes['oci-mediatypes'];
  const all = [...annotations, ...annotationAttributes(attributes)];
  // Docker's own types have no annotations.
  const family = all.length > 0 || oci === undefined || isTrue(oci) ? 'oci' : 'docker';
  return {
    compression,
    level: level === undefined ? undefined : Number(level),
    force: isTrue(attributes['force-compression']),
    family,
    annotations: all,
  };
}

const SWITCHES = 'push tar oci-mediatypes force-compression rewrite-timestamp platform-split'.split(' ');

/** Checks the attributes that are switches, before anything is built. @throws StrakeError `OUTPUT_INVALID` */
export function checkSwitches(attributes: Readonly<Record<string, string>>): void {
  for (const name of SWITCHES) {
    const value = attributes[name] ?? '';
    if (value === '' || parseBool(value) !== undefined) continue;
    throw builderError('OUTPUT_INVALID', `non-bool value specified for ${name}: "${value}"`, {
      hint: `Write ${name}=true or ${name}=false.`,
    });
  }
}

/** Whether a switch is on, as it also is without a value. */
export function isTrue(value: string | undefined): boolean {
  return value !== undefined && (value === '' || parseBool(value) === true);
}
