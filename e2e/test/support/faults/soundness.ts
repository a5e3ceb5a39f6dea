import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

interface Document {
  readonly manifests?: readonly { readonly digest: string }[];
  readonly config?: { readonly digest: string };
  readonly layers?: readonly { readonly digest: string }[];
  readonly rootfs?: { readonly diff_ids: readonly string[] };
}

const hexOf = (digest: string): string => digest.slice('sha256:'.length);

/** Blobs whose content is not what their name says. */
export function wrongBlobs(store: string): string[] {
  const folder = path.join(store, 'blobs/sha256');
  if (!existsSync(folder)) return [];
  return readdirSync(folder).filter((name) => {
    const bytes = readFileSync(path.join(folder, name));
    return createHash('sha256').update(bytes).digest('hex') !== name;
  });
}

/** The digest that each name in a store leads to. A file of names that cannot be read is no name. */
export function namesIn(store: string): Map<string, string> {
  const folder = path.join(store, 'refs');
  const names = new Map<string, string>();
  for (const file of existsSync(folder) ? readdirSync(folder) : []) {
    const { name, target } = JSON.parse(readFileSync(path.join(folder, file), 'utf8')) as {
      name: string;
      target: { digest: string };
    };
    names.set(name, target.digest);
  }
  return names;
}

/** The layers of an image, as diff IDs. Throws where the store has not all of the image. */
export function layersOf(store: string, digest: string): readonly string[] {
  return partsOf(store, digest).layers;
}

/** The digests of all that an image consists of, layers also as diff IDs. */
function partsOf(
  store: string,
  digest: string,
): { readonly layers: readonly string[]; readonly all: readonly string[] } {
  const there = (one: string): boolean => existsSync(path.join(store, 'blobs/sha256', hexOf(one)));
  const read = (one: string): Document =>
    JSON.parse(readFileSync(path.join(store, 'blobs/sha256', hexOf(one)), 'utf8')) as Document;
  const document = read(digest);
  if (document.manifests) {
    const parts = document.manifests.map((child) => partsOf(store, child.digest));
    return { layers: parts.flatMap(({ layers }) => layers), all: [digest, ...parts.flatMap(({ all }) => all)] };
  }
  if (!document.config || !document.layers) throw new Error(`${digest} is no manifest`);
  const diffIds = read(document.config.digest).rootfs?.diff_ids ?? [];
  document.layers.forEach((layer, i) => {
    if (!there(layer.digest) && !there(diffIds[i] ?? layer.digest)) throw new Error(`layer ${layer.digest} is missing`);
  });
  const all = [digest, document.config.digest, ...document.layers.map((layer) => layer.digest), ...diffIds];
  return { layers: diffIds, all };
}

/** What is wrong with a store: blobs, and images whose parts are not there. ONLYNAMED: blobs that no image needs do not count. */
export function unsound(store: string, onlyNamed = false): string[] {
  const needed = new Set<string>();
  const wrong = wrongBlobs(store);
  const problems: string[] = [];
  for (const [name, digest] of namesIn(store)) {
    try {
      for (const one of partsOf(store, digest).all) needed.add(hexOf(one));
    } catch (error) {
      problems.push(`${name} is not whole: ${String(error)}`);
    }
  }
  const counted = onlyNamed ? wrong.filter((name) => needed.has(name)) : wrong;
  return [...problems, ...counted.map((name) => `the blob ${name} has another content`)];
}

/** What is left in folders that are empty when nothing runs. */
export function leftIn(store: string): string[] {
  return ['tmp', 'leases'].flatMap((folder) =>
    readdirSync(path.join(store, folder)).map((name) => `${folder}/${name} is left`),
  );
}
