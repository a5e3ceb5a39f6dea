import { familiarName, parseReference, type ImageReference } from '@strake/core';

function parsed(name: string): ImageReference | undefined {
  try {
    return parseReference(name);
  } catch {
    return undefined;
  }
}

/** A stored name as a person would write it; as it is where it is no image name. */
export function familiar(name: string): string {
  const reference = parsed(name);
  return reference ? familiarName(reference) : name;
}

/** The columns REPOSITORY and TAG of a name. */
export function repositoryAndTag(name: string): readonly [repository: string, tag: string] {
  const reference = parsed(name);
  if (!reference) return [name, '<none>'];
  const { tag, digest, ...rest } = reference;
  return [familiarName({ ...rest, tag: 'x' }).replace(/:x$/, ''), tag ?? digest ?? 'latest'];
}
