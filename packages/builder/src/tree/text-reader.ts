import type { TreeView } from '@strake/store';

/** Bytes of /etc/passwd or /etc/group that are looked at; an image may hold anything under that name. */
const LIMIT = 1 << 20;

/** Reads small text files of an image, links followed inside its root; undefined for what is no file. */
export function textReader(view: TreeView): (path: string) => Promise<string | undefined> {
  return async (path) => {
    const entry = view.lookup(view.resolve(path));
    return entry?.type === 'file' ? (await view.read(entry, LIMIT)).toString('utf8') : undefined;
  };
}
