import { createHash } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { gunzipSync } from 'node:zlib';
import { tarEntries, type TarEntry } from './tar-entries.js';

/** What an image shows of a path. Absent facts do not apply to the type; a time only where it lies before 2020. */
export interface FileFacts {
  readonly type: string;
  readonly mode?: string;
  readonly uid?: number;
  readonly gid?: number;
  readonly size?: number;
  readonly sha256?: string;
  readonly link?: string;
  readonly device?: readonly number[];
  readonly xattrs?: Readonly<Record<string, string>>;
  readonly mtime?: number;
  /** The name of the first path that shares the file, where it is linked. */
  readonly sameAs?: string;
}

/** An image, as far as two builders' images must agree. */
export interface ImageDescription {
  readonly platform: string;
  readonly config: Readonly<Record<string, unknown>>;
  /** The time of the image, and the times of the history, where they lie before 2020. */
  readonly created?: readonly (string | null)[];
  /** created_by and empty_layer of what the build added to its base. */
  readonly history: readonly (readonly [string, boolean])[];
  /** Paths that differ from the base. */
  readonly files: Readonly<Record<string, FileFacts>>;
  /** Paths of the base that are gone. */
  readonly removed: readonly string[];
  /** Paths that each layer of the build changes; `-` in front of what it removes. */
  readonly layers: readonly (readonly string[])[];
}

interface Descriptor {
  readonly digest: string;
  readonly platform?: { readonly architecture?: string };
}
interface Config {
  readonly os: string;
  readonly architecture: string;
  readonly variant?: string;
  readonly created?: string;
  readonly config?: Readonly<Record<string, unknown>>;
  readonly rootfs: { readonly diff_ids: readonly string[] | null };
  readonly history?: readonly { created?: string; created_by?: string; empty_layer?: boolean; comment?: string }[];
}
interface Image {
  readonly config: Config;
  readonly layers: readonly Buffer[];
}

const PARTS = [
  ...['Env', 'Cmd', 'Entrypoint', 'WorkingDir', 'User', 'Labels', 'ExposedPorts', 'Volumes', 'Healthcheck', 'OnBuild'],
  ...['StopSignal', 'Shell', 'ArgsEscaped'],
];
const YEAR_2020 = 1577836800;

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

/** Loads the one image of an OCI layout, a folder or a tar, and checks that its digests and its history fit its layers. */
function loadImage(layout: string): Image {
  const files = new Map<string, Buffer>();
  if (!statSync(layout).isDirectory()) {
    for (const entry of tarEntries(readFileSync(layout))) files.set(path.posix.normalize(entry.name), entry.body);
  }
  const read = (name: string): Buffer => files.get(name) ?? readFileSync(path.join(layout, name));
  const blob = (digest: string): Buffer => {
    const bytes = read(`blobs/${digest.replace(':', '/')}`);
    if (`sha256:${sha256(bytes)}` !== digest) throw new Error(`the blob ${digest} has other content`);
    return bytes;
  };
  const parsed = (bytes: Buffer): unknown => JSON.parse(bytes.toString());
  let list = (parsed(read('index.json')) as { manifests: Descriptor[] }).manifests;
  for (;;) {
    const first = list.find((entry) => entry.platform?.architecture !== 'unknown');
    if (!first) throw new Error('the layout holds no image');
    const manifest = parsed(blob(first.digest)) as {
      manifests?: Descriptor[];
      config: Descriptor;
      layers: Descriptor[] | null;
    };
    if (manifest.manifests) {
      list = manifest.manifests;
      continue;
    }
    const config = parsed(blob(manifest.config.digest)) as Config;
    const layers = (manifest.layers ?? []).map(({ digest }) => {
      const bytes = blob(digest);
      return bytes[0] === 0x1f && bytes[1] === 0x8b ? gunzipSync(bytes) : bytes;
    });
    const ids = layers.map((layer) => `sha256:${sha256(layer)}`);
    if (ids.join() !== (config.rootfs.diff_ids ?? []).join()) throw new Error('diff_ids are not those of the layers');
    const filled = (config.history ?? []).filter((entry) => !entry.empty_layer).length;
    if (filled !== layers.length) throw new Error(`${filled} entries of history with a layer, ${layers.length} layers`);
    return { config, layers };
  }
}

/** A path as text: bytes that are no UTF-8 appear as \xNN. */
function shown(bytes: string): string {
  const text = Buffer.from(bytes, 'latin1').toString('utf8');
  if (!text.includes('\ufffd')) return text;
  return bytes.replace(/[\x80-\xff]/g, (char) => `\\x${char.charCodeAt(0).toString(16)}`);
}

interface Node {
  readonly facts: FileFacts;
  /** Equal for the names of one file. */
  readonly file?: object;
}

const TYPES: Readonly<Record<string, string>> = { '2': 'symlink', '3': 'char', '4': 'block', '5': 'dir', '6': 'fifo' };

/** The tree of stacked layers, and what each changes. */
function mergeLayers(layers: readonly Buffer[]): { tree: Map<string, Node>; changes: string[][] } {
  const tree = new Map<string, Node>();
  const drop = (at: string, itself: boolean): void => {
    const below = at === '/' ? '/' : `${at}/`;
    for (const known of [...tree.keys()]) {
      if ((itself && known === at) || (known !== '/' && known.startsWith(below))) tree.delete(known);
    }
  };
  let before = filesOf(tree);
  const changes = layers.map((layer) => {
    const entries = [...tarEntries(layer)].map((entry) => ({ ...entry, at: placeOf(entry.name) }));
    for (const { at } of entries) {
      const base = path.posix.basename(at);
      const folder = path.posix.dirname(at);
      if (base === '.wh..wh..opq') drop(folder, false);
      else if (base.startsWith('.wh.')) drop(path.posix.join(folder, base.slice(4)), true);
    }
    for (const entry of entries) {
      if (path.posix.basename(entry.at).startsWith('.wh.')) continue;
      const node = entry.type === '1' ? (tree.get(placeOf(entry.link)) ?? LOST) : nodeOf(entry);
      if (node.facts.type !== 'dir') drop(entry.at, false);
      tree.set(entry.at, node);
    }
    const after = filesOf(tree);
    const changed = [...after].filter(([at, facts]) => !sameFacts(before.get(at), facts)).map(([at]) => at);
    const gone = [...before.keys()].filter((at) => !after.has(at)).map((at) => `-${at}`);
    before = after;
    return [...changed, ...gone];
  });
  return { tree, changes };
}

const LOST: Node = { facts: { type: 'a hard link to nothing' } };

function placeOf(name: string): string {
  return path.posix.normalize(`/${name}`).replace(/(.)\/$/, '$1');
}

function nodeOf(entry: TarEntry): Node {
  const type = TYPES[entry.type] ?? 'file';
  const facts: FileFacts = {
    type,
    ...(type === 'symlink' ? {} : { mode: entry.mode.toString(8).padStart(4, '0') }),
    uid: entry.uid,
    gid: entry.gid,
    ...(type === 'file' ? { size: entry.body.length, sha256: sha256(entry.body) } : {}),
    ...(type === 'symlink' ? { link: shown(entry.link) } : {}),
    ...(type === 'char' || type === 'block' ? { device: entry.device } : {}),
    ...(Object.keys(entry.xattrs).length > 0 ? { xattrs: sorted(entry.xattrs) } : {}),
    ...(entry.mtime < YEAR_2020 && type !== 'symlink' ? { mtime: entry.mtime } : {}),
  };
  return { facts, ...(type === 'dir' ? {} : { file: {} }) };
}

function sorted<T>(record: Readonly<Record<string, T>>): Record<string, T> {
  return Object.fromEntries(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** The files of a tree by their shown path, links among them resolved to the first name. */
function filesOf(tree: Map<string, Node>): Map<string, FileFacts> {
  const first = new Map<object, string>();
  const files = new Map<string, FileFacts>();
  for (const at of [...tree.keys()].sort()) {
    const { facts, file } = tree.get(at) ?? { facts: { type: 'nothing' } };
    if (at === '/') continue;
    const other = file && first.get(file);
    files.set(shown(at), other === undefined ? facts : { ...facts, sameAs: shown(other) });
    if (file && other === undefined) first.set(file, at);
  }
  return files;
}

/** Whether a layer that holds B over A changes nothing. A folder's time changes with whatever is done in it. */
function sameFacts(a: FileFacts | undefined, b: FileFacts): boolean {
  const timeless = (facts: FileFacts): FileFacts => (facts.type === 'dir' ? { ...facts, mtime: 0 } : facts);
  return a !== undefined && stable(timeless(a)) === stable(timeless(b));
}

/** Describes an image relative to the base BASE, both OCI layouts. */
export function describeImage(layout: string, base: string): ImageDescription {
  const image = loadImage(layout);
  const below = loadImage(base);
  const ids = image.config.rootfs.diff_ids ?? [];
  const onBase = (below.config.rootfs.diff_ids ?? []).every((id, index) => ids[index] === id);
  const before = onBase ? filesOf(mergeLayers(below.layers).tree) : new Map<string, FileFacts>();
  const { tree, changes } = mergeLayers(image.layers);
  const files = filesOf(tree);
  const { config } = image;
  const history = (config.history ?? []).slice(onBase ? (below.config.history ?? []).length : 0);
  const early = (time?: string): string | null => (time !== undefined && time < '2020' ? time : null);
  const created = [early(config.created), ...history.map((entry) => early(entry.created))];
  return {
    platform: [config.os, config.architecture, config.variant].filter(Boolean).join('/'),
    config: Object.fromEntries(
      PARTS.flatMap((part) => {
        const value = config.config?.[part];
        // Newer BuildKits write the default working directory, older ones do not.
        const empty = value === null || value === undefined || value === '' || value === false || value === '/';
        return empty || (typeof value === 'object' && Object.keys(value).length === 0) ? [] : [[part, value]];
      }),
    ),
    ...(created.some((time) => time !== null) ? { created } : {}),
    history: history.map((entry) => [entry.created_by ?? '', entry.empty_layer === true] as const),
    files: Object.fromEntries([...files].filter(([at, facts]) => !sameFacts(before.get(at), facts))),
    removed: [...before.keys()].filter((at) => !files.has(at)),
    layers: changes.slice(onBase ? below.layers.length : 0),
  };
}

/** Where an image rightly differs from the recorded one: by what is compared (`config.Env`, `history[2]`, `/path`). */
export type Exceptions = Readonly<Record<string, { readonly why: string; readonly right?: unknown }>>;

/** One line a difference between two descriptions, but for EXCEPTIONS, where what is right is expected. */
export function imageDifferences(
  want: ImageDescription,
  got: ImageDescription,
  exceptions: Exceptions = {},
): readonly string[] {
  const expected = factsOf(want);
  const actual = factsOf(got);
  for (const [key, { right }] of Object.entries(exceptions)) expected.set(key, stable(right));
  return [...new Set([...expected.keys(), ...actual.keys()])].flatMap((key) => {
    const [left = 'nothing', right = 'nothing'] = [expected.get(key), actual.get(key)];
    if (left === right || sameButForTime(left, right)) return [];
    return [`${key}: expected ${left.slice(0, 400)}, got ${right.slice(0, 400)}`];
  });
}

/** What older BuildKits print otherwise: values of ARG that are not in the instruction, ports, health checks. */
function inAnyVersion(createdBy: string): string {
  if (createdBy.startsWith('ARG ')) return createdBy.replace(/=\S*/g, '');
  if (createdBy.startsWith('EXPOSE map[')) return createdBy.replace('map[', '[').replaceAll(':{}', '');
  return createdBy.startsWith('HEALTHCHECK ') ? 'HEALTHCHECK' : createdBy;
}

/** Everything that is compared, each under a name of its own. */
function factsOf(image: ImageDescription): Map<string, string> {
  const facts: [string, unknown][] = [
    ['platform', image.platform],
    ['created', image.created],
    ['removed', image.removed],
    ...Object.entries(image.config).map(([key, value]): [string, unknown] => [`config.${key}`, value]),
    ...image.history.map(([by, empty], n): [string, unknown] => [`history[${n}]`, [inAnyVersion(by), empty]]),
    ...image.layers.map((paths, n): [string, unknown] => [`layer ${n}`, paths]),
    ...Object.entries(image.files),
  ];
  return new Map(facts.map(([key, value]) => [key, stable(value)]));
}

/** Older BuildKits lose the time of a folder when they copy into it; new ones, and Strake, do not. */
function sameButForTime(left: string, right: string): boolean {
  const without = (text: string): string => text.replace(/"mtime":-?\d+,/, '');
  return (
    left.includes('"type":"dir"') &&
    without(left) === without(right) &&
    left.includes('mtime') !== right.includes('mtime')
  );
}

function stable(value: unknown): string {
  if (value === undefined) return 'nothing';
  return JSON.stringify(value, (_key, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? sorted(inner as Record<string, unknown>)
      : inner,
  );
}
