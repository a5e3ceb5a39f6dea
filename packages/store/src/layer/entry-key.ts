import { bytesOfText } from '@strake/core';

import { keyOf } from './index-format.js';

/** Linux's NAME_MAX, and PATH_MAX less room for the place that a tree is unpacked to. */
const MAX_NAME = 255;
const MAX_PATH = 3800;

/** How names of whiteouts begin, and the name of an opaque folder's mark (OCI image-spec, layer.md). */
export const WHITEOUT_PREFIX = '.wh.';
export const OPAQUE_MARK = '.wh..wh..opq';

/** The key of a clean path, or why there can be none. */
export function checkedKey(path: string): Buffer | string {
  const bytes = bytesOfText(path);
  if (bytes.length > MAX_PATH) return `its path is longer than ${MAX_PATH} bytes`;
  if (bytes.includes(0)) return 'it has a NUL in its path';
  let start = 0;
  if (bytes.length > 0) {
    for (;;) {
      const slash = bytes.indexOf(0x2f, start);
      const end = slash < 0 ? bytes.length : slash;
      const length = end - start;
      if (length > MAX_NAME) return `its name is longer than ${MAX_NAME} bytes`;
      const dots = length > 0 && length <= 2 && bytes[start] === 0x2e && bytes[end - 1] === 0x2e;
      if (length === 0 || dots) return 'its path is not a clean one';
      if (slash < 0) break;
      start = end + 1;
    }
  }
  return keyOf(bytes);
}

export function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

/** PATH with another last component. */
export function withName(path: string, name: string): string {
  return path.slice(0, path.lastIndexOf('/') + 1) + name;
}
