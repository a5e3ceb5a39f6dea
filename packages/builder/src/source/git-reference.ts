import { builderError } from '../errors.js';
import { treePath } from '../tree/paths.js';

/** A Git repository as ADD, a build context or a named context names it. */
export interface GitReference {
  /** What git is given, without user name and password for http(s): those are in `credentials`. */
  readonly remote: string;
  readonly protocol: 'http' | 'https' | 'ssh' | 'git';
  /** Host (and port) of the repository. */
  readonly host: string;
  /** User name and password of an http(s) address, decoded. Never shown, never written to disk. */
  readonly credentials: { readonly user: string; readonly password: string } | undefined;
  /** Branch, tag, `refs/…` or commit; undefined: the remote's default branch. */
  readonly ref: string | undefined;
  /** Hex digits that the commit's (or the tag object's) id must begin with. */
  readonly checksum: string | undefined;
  /** Tree path of the folder to use; '' for all of the repository. */
  readonly subdir: string;
  readonly keepGitDir: boolean | undefined;
  readonly submodules: boolean | undefined;
  readonly mtime: 'checkout' | 'commit' | undefined;
  /** Fetch the commit that `checksum` names without looking at what the ref points to. */
  readonly fetchByCommit: boolean;
  /** A redirect led there; `elsewhere`: to a host that no credentials are meant for. */
  readonly moved?: 'within' | 'elsewhere' | undefined;
  /** `github.com/…`: such a name may also be a local path. Taken for Git only as a build context. */
  readonly likeLocalPath: boolean;
}

const PROTOCOLS: ReadonlySet<string> = new Set(['http', 'https', 'ssh', 'git']);

/**
 * Reads a Git reference (BuildKit's dfgitutil.ParseGitRef): `git://`, `ssh://`, `user@host:path`, `http(s)://….git`, and
 * `github.com/…`; `#ref:dir` and the query `ref tag branch subdir checksum commit keep-git-dir submodules mtime
 * fetch-by-commit`.
 * @returns undefined for what is no Git reference
 * @throws StrakeError `ARGUMENT_INVALID` for one that is, with a query that makes no sense
 */
export function parseGitReference(text: string): GitReference | undefined {
  const parts = splitReference(text);
  if (!parts) return undefined;
  const { fragment, query, ...address } = parts;
  const refuse = (why: string): never => {
    throw builderError('ARGUMENT_INVALID', `"${displayRemote(address.remote)}" cannot be used: ${why}`);
  };
  if (/^-/.test(address.remote) || /^-/.test(address.host) || /[\p{Cc} ]/u.test(address.remote)) {
    return refuse('its address holds what git could take for an option or a command');
  }
  // BuildKit leaves it to git, which asks the server for a repository whose name ends in it.
  if (isAddress(text) && /^[^?#]*\?(?:#|$)/.test(text)) return refuse('nothing stands behind its "?"');
  const [ref = '', ...rest] = fragment.split(':');
  const options = readQuery(query, refuse);
  const subdir = treePath(rest.join(':'));
  const queried = treePath(options.get('subdir') ?? '');
  if (subdir !== '' && queried !== '' && subdir !== queried) refuse(`subdir conflicts: "${subdir}" vs "${queried}"`);
  const reference = {
    ...address,
    ref: pickRef(ref, options, refuse),
    subdir: queried || subdir,
    checksum: options.get('checksum') ?? options.get('commit'),
    keepGitDir: flag(options, 'keep-git-dir', refuse),
    submodules: flag(options, 'submodules', refuse),
    mtime: options.get('mtime') as GitReference['mtime'],
    fetchByCommit: flag(options, 'fetch-by-commit', refuse) ?? false,
  };
  if (reference.checksum !== undefined && !/^[0-9a-f]+$/i.test(reference.checksum)) {
    refuse(`its checksum "${reference.checksum}" is not a commit in hex digits`);
  }
  return reference;
}

/** A remote address without user name, password and query: all that a message may show of it. */
export function displayRemote(remote: string): string {
  return remote.replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/?#]*@/i, '$1').replace(/[?#].*$/s, '');
}

/** Whether TEXT is a whole commit id: 40 hex digits, or 64 in a sha256 repository. */
export function isCommitId(text: string): boolean {
  return /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(text);
}

/** Whether TEXT is a URL, rather than `user@host:path`: of that the query is dropped where it is empty. */
function isAddress(text: string): boolean {
  return /^[a-zA-Z0-9]+:\/\//.test(text) || text.startsWith('github.com/');
}

type Address = Pick<GitReference, 'remote' | 'protocol' | 'host' | 'credentials' | 'likeLocalPath'>;

function splitReference(text: string): (Address & { query: string; fragment: string }) | undefined {
  if (text.startsWith('./') || text.startsWith('../') || text.includes('\n')) return undefined;
  const likeLocalPath = text.startsWith('github.com/');
  const full = likeLocalPath ? `https://${text}` : text;
  const hash = full.indexOf('#');
  const beforeHash = hash < 0 ? full : full.slice(0, hash);
  const fragment = hash < 0 ? '' : full.slice(hash + 1);
  const question = beforeHash.indexOf('?');
  const remote = question < 0 ? beforeHash : beforeHash.slice(0, question);
  const query = question < 0 ? '' : beforeHash.slice(question + 1);

  const [, scheme, authority = '', path = ''] = /^([a-zA-Z0-9]+):\/\/([^/]*)(.*)$/.exec(remote) ?? [];
  if (scheme === undefined) {
    const [, host] = /^[a-zA-Z0-9_-]+@([a-zA-Z0-9.-]+):/.exec(remote) ?? [];
    if (host === undefined) return undefined;
    return { remote, protocol: 'ssh', host, credentials: undefined, likeLocalPath, query, fragment };
  }
  const protocol = scheme.toLowerCase();
  const decoded = decode(path);
  if (!PROTOCOLS.has(protocol) || decoded === undefined) return undefined;
  const http = protocol === 'http' || protocol === 'https';
  if (http && !likeLocalPath && !decoded.endsWith('.git')) return undefined;
  const at = authority.lastIndexOf('@');
  const host = authority.slice(at + 1);
  if (host === '') return undefined;
  const [user = '', ...password] = authority.slice(0, Math.max(at, 0)).split(':');
  return {
    remote: http ? `${protocol}://${host}${path}` : `${protocol}://${authority}${path}`,
    protocol: protocol as Address['protocol'],
    host,
    credentials:
      http && at >= 0 ? { user: decode(user) ?? user, password: decode(password.join(':')) ?? '' } : undefined,
    likeLocalPath,
    query,
    fragment: decode(fragment) ?? fragment,
  };
}

function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

const BARE_FLAGS: ReadonlySet<string> = new Set(['submodules', 'keep-git-dir', 'fetch-by-commit']);
const KEYS: ReadonlySet<string> = new Set([
  ...BARE_FLAGS,
  ...['ref', 'tag', 'branch', 'subdir', 'checksum', 'commit', 'mtime'],
]);

type Refuse = (why: string) => never;

function readQuery(query: string, refuse: Refuse): Map<string, string> {
  const options = new Map<string, string>();
  for (const [key, value] of new URLSearchParams(query)) {
    if (!KEYS.has(key)) refuse(`unexpected query "${key}"; known are ${[...KEYS].join(', ')}`);
    if (options.has(key)) refuse(`query "${key}" has multiple values`);
    if (value === '' && !BARE_FLAGS.has(key)) refuse(`query "${key}" has no value`);
    options.set(key, value);
  }
  const mtime = options.get('mtime');
  if (mtime !== undefined && mtime !== 'checkout' && mtime !== 'commit') {
    refuse(`invalid mtime value: "${mtime}" (must be "checkout" or "commit")`);
  }
  const { checksum, commit } = Object.fromEntries(options);
  if (checksum !== undefined && commit !== undefined && checksum !== commit) {
    refuse(`checksum conflicts: "${checksum}" vs "${commit}"`);
  }
  return options;
}

/** Go's strconv.ParseBool; a flag without a value is true. */
function flag(options: ReadonlyMap<string, string>, key: string, refuse: Refuse): boolean | undefined {
  const value = options.get(key);
  if (value === undefined) return undefined;
  if (['', '1', 't', 'T', 'true', 'TRUE', 'True'].includes(value)) return true;
  if (['0', 'f', 'F', 'false', 'FALSE', 'False'].includes(value)) return false;
  return refuse(`invalid ${key} value: "${value}"`);
}

function pickRef(fragment: string, options: ReadonlyMap<string, string>, refuse: Refuse): string | undefined {
  const withPrefix = (prefix: string, name: string | undefined): string =>
    name === undefined ? '' : name.startsWith(prefix) ? name : prefix + name;
  const tag = withPrefix('refs/tags/', options.get('tag'));
  const branch = withPrefix('refs/heads/', options.get('branch'));
  if (tag !== '' && branch !== '') refuse('branch conflicts with tag');
  let ref = '';
  for (const candidate of [fragment, options.get('ref') ?? '', tag, branch]) {
    if (candidate === '' || candidate === ref) continue;
    if (ref !== '') refuse(`ref conflicts: "${ref}" vs "${candidate}"`);
    ref = candidate;
  }
  // As git check-ref-format: nothing that git could read as an option, a refspec or a range.
  if (/^-|\.\.|@\{|[\p{Cc} ~^:?*[\\]|\/$|^\//u.test(ref)) refuse(`"${ref}" is not the name of a branch, tag or commit`);
  return ref === '' ? undefined : ref;
}
