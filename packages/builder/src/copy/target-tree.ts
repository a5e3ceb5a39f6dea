import type { ContentSource, EntryFacts, LayerEntry, TreeView } from '@strake/store';

import { builderError } from '../errors.js';
import { joinTree, LONGEST_PATH } from '../tree/paths.js';
import { followPath, type PathWalk } from './target-walk.js';

/** What is asked of the tree that a layer is planned on. */
export type PlanBase = Pick<TreeView, 'lookup' | 'list'>;

/** An entry of the layer being planned. A hard link points at the very node it shares its content with. */
export interface TargetNode {
  readonly facts: Omit<EntryFacts, 'path' | 'link'> & { readonly link?: string | undefined };
  readonly content?: ContentSource | undefined;
  readonly linkTo?: { readonly path: string; readonly node: TargetNode } | undefined;
  /** A folder that hides what the layers below have at its place. */
  readonly opaque?: boolean | undefined;
}

/** Facts of a path as seen on top of base and plan. */
export type TargetFacts = Pick<EntryFacts, 'type' | 'mode' | 'uid' | 'gid' | 'mtime' | 'link' | 'xattrs'>;

export interface FolderFacts {
  readonly mode: number;
  readonly uid: number;
  /** Undefined: root's, or that of the folder above, where that has the set-group-ID bit. */
  readonly gid: number | undefined;
}

/** A place in the tree, where something is planned or something of the base is remembered, or below which that is so. */
export interface Place {
  readonly path: string;
  children?: Map<string, Place> | undefined;
  node?: TargetNode | undefined;
  /** What the base has there: known of folders and links only. */
  base?: TargetFacts | undefined;
}

/** Characters that the paths of all folders made for one layer may have: what a deep path costs is the square of its length. */
const MOST_MADE = 128 << 20;
const SET_GROUP_ID = 0o2000;

/**
 * A layer in the making on top of the tree below it: what COPY, ADD and WORKDIR write to. Nothing touches a disk; the entries
 * that result are written by the store. Whatever is asked of a path takes time by its length, as archives have deep ones by the
 * thousand.
 */
export class TargetTree {
  readonly #base: PlanBase | undefined;
  readonly #root: Place = { path: '' };
  /** Places with a node, in the order of the layer. */
  readonly #planned = new Set<Place>();
  #made = 0;
  /** Time of folders that are made, in seconds. */
  readonly now: number;

  /** BASE: the tree below; none for `scratch` and for `--link`. */
  constructor(base: PlanBase | undefined, now: number) {
    this.#base = base;
    this.now = now;
  }

  lookup(path: string): TargetFacts | undefined {
    let place: Place | undefined = this.#root;
    let hidden = false;
    if (path === '') return this.#factsAt(place, path, hidden);
    for (const part of path.split('/')) {
      hidden ||= hidesBase(place);
      place = place?.children?.get(part);
    }
    return this.#factsAt(place, path, hidden);
  }

  /**
   * PATH with all links followed inside the folder ROOT of the tree, as a path of the tree; missing components stay.
   * @throws StrakeError `COPY_CONFLICT`
   */
  resolve(path: string, root = '', nofollow = false): string {
    const start: PathWalk = { path: '', place: this.#root, hidden: false, missing: false };
    const begin = root === '' ? start : followPath(root, start, this.#see, true).end;
    const { end, why } = followPath(path, begin, this.#see, nofollow);
    if (why === undefined) return end.path;
    const shown = path.length > 200 ? `${path.slice(0, 200)}…` : path;
    throw builderError('COPY_CONFLICT', `the destination "/${shown}" ${why}`);
  }

  /**
   * Makes a folder and its missing parents. PATH must be resolved. As where a kernel makes them, the set-group-ID bit of the folder
   * above is theirs, too.
   * @throws StrakeError `COPY_CONFLICT` where a file is in the way
   */
  makeFolders(path: string, facts: FolderFacts): void {
    let at: PathWalk = { path: '', place: this.#root, hidden: false, missing: false };
    let above: Omit<FolderFacts, 'uid'> | undefined = this.lookup('');
    for (const part of path === '' ? [] : path.split('/')) {
      const { facts: there, walk } = this.#see(at, part);
      if (there && there.type !== 'directory') {
        const what = `cannot make the folder "/${walk.path}": not a directory, a file is in its place`;
        throw builderError('COPY_CONFLICT', what);
      }
      if (there) {
        at = walk;
        above = there;
        continue;
      }
      this.#made += walk.path.length;
      if (walk.path.length > LONGEST_PATH || this.#made > MOST_MADE) {
        throw builderError(
          'COPY_CONFLICT',
          `cannot make the folder "/${walk.path.slice(0, 200)}…": too deep or too many`,
        );
      }
      const place = this.#placeOf(walk.path, at.place);
      const made = madeIn(above, facts);
      this.#put(place, undefined, { facts: { ...made, type: 'directory', size: 0, mtime: this.now } });
      above = made;
      at = { ...walk, place, missing: false };
    }
  }

  /** Sets an entry. What was at its place, in plan or base, is replaced; a folder over a folder keeps what is below. */
  put(path: string, node: TargetNode): void {
    this.#put(this.#placeOf(path), this.lookup(path), node);
  }

  #put(place: Place, before: TargetFacts | undefined, node: TargetNode): void {
    const isFolder = node.facts.type === 'directory';
    const replacesOther = before !== undefined && (before.type === 'directory') !== isFolder;
    const opaque = isFolder && place !== this.#root && (replacesOther || place.node?.opaque || this.#wasRemoved(place));
    if (replacesOther && before.type === 'directory') this.#removeBelow(place);
    // Parents first: a folder keeps the place of its first mention.
    if (!isFolder) this.#planned.delete(place);
    place.node = opaque ? { ...node, opaque: true } : node;
    this.#planned.add(place);
  }

  /** Whether the folder at PATH is of this plan and nothing is below it, neither planned nor in the base. */
  isNew(path: string): boolean {
    if (path === '' || this.#base?.lookup(path) !== undefined) return false;
    const place = this.#find(path);
    return place === undefined || !hasPlanned(place);
  }

  /** The node at PATH, where the plan has one. */
  node(path: string): TargetNode | undefined {
    return this.#find(path)?.node;
  }

  /** The entries of the layer, parents before children. */
  *entries(): Generator<LayerEntry> {
    /** Files whose first name was given to something else, by the name that now comes first. */
    const renamed = new Map<TargetNode, string>();
    for (const { path, node } of this.#planned) {
      if (!node) continue;
      const { linkTo, content, opaque, facts } = node;
      const first = linkTo && (this.node(linkTo.path) === linkTo.node ? linkTo.path : renamed.get(linkTo.node));
      if (linkTo && first !== undefined) {
        const named = { ...linkTo.node.facts, content: linkTo.node.content };
        yield { ...facts, path, type: 'hardlink', size: 0, link: first, node: named };
      } else {
        if (linkTo) renamed.set(linkTo.node, path);
        const source = content ?? linkTo?.node.content;
        yield { ...facts, path, ...(source ? { content: source } : {}), ...(opaque ? { opaque } : {}) };
      }
    }
  }

  /** What is at PART of the folder AT. */
  readonly #see = (at: PathWalk, part: string): { facts: TargetFacts | undefined; walk: PathWalk } => {
    const path = joinTree(at.path, part);
    let place = at.place?.children?.get(part);
    const hidden = at.hidden || hidesBase(at.place);
    const facts = at.missing || path.length > LONGEST_PATH ? undefined : this.#factsAt(place, path, hidden);
    const isFolder = facts?.type === 'directory';
    // Files are looked at once, folders and links whenever something below them is.
    if (facts && !place?.node && (isFolder || facts.type === 'symlink')) {
      place ??= this.#placeOf(path, at.place);
      place.base = facts;
    }
    return { facts, walk: { path, place, hidden, missing: !isFolder } };
  };

  #factsAt(place: Place | undefined, path: string, hidden: boolean): TargetFacts | undefined {
    if (place?.node) return place.node.facts;
    if (path === '') {
      return this.#base?.lookup('') ?? { type: 'directory', mode: 0o755, uid: 0, gid: 0, mtime: this.now };
    }
    return hidden ? undefined : (place?.base ?? this.#base?.lookup(path));
  }

  #find(path: string): Place | undefined {
    let place: Place | undefined = this.#root;
    for (const part of path === '' ? [] : path.split('/')) place = place?.children?.get(part);
    return place;
  }

  /** The place at PATH, made where it is missing; PARENT: that of its folder, where it is known. */
  #placeOf(path: string, parent?: Place): Place {
    if (path === '') return this.#root;
    const slash = path.lastIndexOf('/');
    const folder = parent ?? this.#placeOf(slash < 0 ? '' : path.slice(0, slash));
    const name = path.slice(slash + 1);
    const children = (folder.children ??= new Map<string, Place>());
    let place = children.get(name);
    if (!place) children.set(name, (place = { path }));
    return place;
  }

  #removeBelow(place: Place): void {
    for (const one of below(place)) this.#planned.delete(one);
    place.children = undefined;
  }

  /** Whether a file planned at PLACE stands over a folder of the base. */
  #wasRemoved({ node, path }: Place): boolean {
    return node !== undefined && node.facts.type !== 'directory' && this.#base?.lookup(path)?.type === 'directory';
  }
}

/** The facts of a folder that is made in the folder ABOVE. */
function madeIn(
  above: Omit<FolderFacts, 'uid'> | undefined,
  { mode, uid, gid }: FolderFacts,
): Pick<TargetFacts, 'mode' | 'uid' | 'gid'> {
  if (above === undefined || (above.mode & SET_GROUP_ID) === 0) return { mode, uid, gid: gid ?? 0 };
  return { mode: mode | SET_GROUP_ID, uid, gid: gid ?? above.gid ?? 0 };
}

/** Whether what is planned at PLACE hides what the base has below: it is no folder, or an opaque one. */
function hidesBase(place: Place | undefined): boolean {
  const node = place?.node;
  return node !== undefined && place?.path !== '' && (node.facts.type !== 'directory' || node.opaque === true);
}

function hasPlanned(place: Place): boolean {
  for (const one of below(place)) if (one.node) return true;
  return false;
}

function* below({ children }: Place): Generator<Place> {
  const all = [...(children?.values() ?? [])];
  for (let one = all.pop(); one; one = all.pop()) {
    yield one;
    if (one.children) for (const child of one.children.values()) all.push(child);
  }
}
