import type { Digest } from '@strake/core';

export type EntryType = 'file' | 'directory' | 'symlink' | 'hardlink' | 'char' | 'block' | 'fifo';

/** The facts of one path in a layer. */
export interface EntryFacts {
  /**
   * Relative to the root, `/`-separated, no leading or trailing slash, no `.` or `..`; the root itself is ''.
   * Names (and links) that are no UTF-8 are as core's `textOfBytes` makes them.
   */
  readonly path: string;
  readonly type: EntryType;
  /** Permission bits with setuid, setgid and sticky: 0 to 0o7777. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Bytes of content; 0 for all but files. */
  readonly size: number;
  /** Whole seconds since 1970. */
  readonly mtime: number;
  /** Target of a symlink as written, or path (as `path`) of a hard link's target in the same layer. */
  readonly link?: string | undefined;
  readonly device?: { readonly major: number; readonly minor: number } | undefined;
  /** Extended attributes by name, values as latin1 (byte for byte) strings. */
  readonly xattrs?: Readonly<Record<string, string>> | undefined;
}

/**
 * The pieces of a sparse file: position in the file and length of each, in order. Only they are stored, one after the other;
 * all else of the file is zeros.
 */
export type Segments = readonly (readonly [position: number, length: number])[];

/** Where the content of a file that goes into a layer is read from. */
export type ContentSource =
  /**
   * A file below a folder of this machine, opened component by component without following links.
   * Where `digest` is given, the content is compared with it while it is read: what a key was made of is what is stored.
   * `frozen`: nobody can change the folder, and no component of the path is a link: the file may be opened at once.
   */
  | {
      readonly kind: 'file';
      readonly root: string;
      readonly path: string;
      readonly digest?: Digest | undefined;
      readonly frozen?: boolean | undefined;
    }
  /** A range of a blob of this store: a file within another layer's tar. */
  | {
      readonly kind: 'blob';
      readonly blob: Digest;
      readonly offset: number;
      readonly digest?: Digest | undefined;
      readonly segments?: Segments | undefined;
    }
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array };

/** What a hard link does not say of its file itself. */
export type LinkedNode = Pick<EntryFacts, 'type' | 'size' | 'link' | 'device'> & {
  readonly content?: ContentSource | undefined;
};

/** An entry to be written to a layer. A whiteout removes a path of the layers below; an opaque folder hides all that they have in it. */
export type LayerEntry = (
  | (EntryFacts & {
      readonly content?: ContentSource | undefined;
      readonly opaque?: boolean | undefined;
      /** Of a hard link: what it is a name of. A copy tells it; the link is written without it. */
      readonly node?: LinkedNode | undefined;
    })
  | { readonly path: string; readonly type: 'whiteout' }
) & {
  /** Written with what Windows wants to know of it: the layer is one of an image for Windows. */
  readonly windows?: boolean | undefined;
};
