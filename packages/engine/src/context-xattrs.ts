import { getXattr, listXattrs } from '@strake/sys';

/** Attributes that a layer keeps: file capabilities and the user's own; not those of the machine it was built on. */
const KEPT = /^(?:security\.capability$|user\.(?!overlay\.))/;

/** The extended attributes of a file of a context that belong into an image; undefined where there are none. */
export function readXattrs(path: string): Record<string, string> | undefined {
  const names = listXattrs(path).filter((name) => KEPT.test(name));
  if (names.length === 0) return undefined;
  return Object.fromEntries(names.map((name) => [name, getXattr(path, name)?.toString('latin1') ?? '']));
}
