import type { Digest } from '@strake/core';
import fs from 'node:fs';

import type { FileTable } from './file-table.js';
import { fsPath } from './paths.js';
import type { RememberedSelection } from './remembered-selections.js';
import type { KnownWalk } from './tree-memory.js';
import type { SourceEntry } from './source-tree.js';
import { stampOf, typeOf } from './stat.js';

/** Looks at many paths below a folder, which lie in buffers, each ended by NUL; '' is the folder itself. */
export interface FolderLook {
  /** What `look` has found last. */
  readonly facts: Pick<fs.Stats, 'size' | 'mtimeMs' | 'ctimeMs' | 'ino' | 'mode' | 'dev'>;
  /** Whether something can be seen there. */
  look(names: Buffer, at: number): boolean;
  close(): void;
}

/** File systems (statfs(2)) on which a folder has a new time whenever a name in it comes, goes or changes. */
const RELIABLE: ReadonlySet<number> = new Set([
  0xef53, // ext2, ext3, ext4
  0x58465342, // xfs
  0x9123683e, // btrfs
  0x01021994, // tmpfs
  0xf2f52010, // f2fs
  0x794c7630, // overlayfs
  0x2fc12fc1, // zfs
]);

/** Whether what a folder at PATH holds is known to be the same while its facts are. */
export function hasReliableFolders(path: string): boolean {
  return RELIABLE.has(fs.statfsSync(fsPath(path)).type);
}

/**
 * What was selected once, as it is now: where every folder has the facts that it had, no name in it is another, so nothing need be
 * listed. A file that was written to has a new row, for which it is looked at anew by LOOKANEW; then the digest is not known.
 * Undefined where anything else changed, or lies on another file system than the root.
 */
export function recallRows(
  { rows, digest }: Pick<RememberedSelection, 'rows' | 'digest'>,
  table: FileTable,
  look: FolderLook,
  lookAnew: (path: string) => number | undefined,
): { readonly rows: Uint32Array; readonly digest: Digest | undefined } | undefined {
  if (!look.look(Buffer.of(0), 0)) return undefined;
  const { dev } = look.facts;
  let now = rows;
  let same = true;
  for (let i = 0; i < rows.length; i++) {
    const row = rows[i] as number;
    const name = table.nativeName(row);
    if (!name || !look.look(name.bytes, name.at) || look.facts.dev !== dev) return undefined;
    const isFile = typeOf(table.mode(row)) === 'file';
    const known = table.isState(row, stampOf(look.facts));
    if (!known && !(isFile && typeOf(look.facts.mode) === 'file')) return undefined;
    if (known && !table.hasExtras(row)) table.confirm(row);
    else {
      table.seek(row);
      const anew = lookAnew(table.path(row));
      if (anew === undefined || (anew !== row && typeOf(table.mode(anew)) !== typeOf(table.mode(row))))
        return undefined;
      if (anew !== row) {
        if (now === rows) now = rows.slice();
        now[i] = anew;
        same = false;
      }
    }
    if (isFile && !table.hasDigest(row)) same = false;
  }
  return { rows: now, digest: same ? digest : undefined };
}

/**
 * The same of what this process has walked, where all that changed was told: only that is looked at again. Undefined where a folder
 * has other names, or something is of another type.
 */
export function recallWalk(
  { rows, digest, files, folders }: KnownWalk,
  table: FileTable,
  tree: { lookup(path: string): SourceEntry | undefined; list(path: string): readonly string[] },
  rowOf: (entry: SourceEntry) => number,
): { readonly rows: Uint32Array; readonly digest: Digest | undefined } | undefined {
  const now = rows.slice();
  const renew = (path: string, row: number): boolean => {
    const place = rows.indexOf(row);
    if (place < 0) return true;
    const entry = tree.lookup(path);
    if (!entry || typeOf(table.mode(rowOf(entry))) !== typeOf(table.mode(row))) return false;
    now[place] = rowOf(entry);
    return true;
  };
  for (const [path, { row, names }] of folders) {
    if (row >= 0 && rows.includes(row)) {
      const known = tree.list(path);
      if (!names || known.length !== names.length || known.some((name, i) => name !== names[i])) return undefined;
    }
    if (!renew(path, row)) return undefined;
  }
  for (const [path, row] of files) if (!renew(path, row)) return undefined;
  return { rows: now, digest: now.every((row, i) => row === rows[i]) ? digest : undefined };
}
