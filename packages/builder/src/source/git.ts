import { isStrakeError, type StrakeError } from '@strake/core';
import fs from 'node:fs';
import { join } from 'node:path';

import { builderError } from '../errors.js';
import type { BuilderServices } from '../services.js';
import { tidyCheckout, removeGitFolders, setTimes } from './checkout-tree.js';
import { gitSurroundings } from './git-environment.js';
import { GitFailure, runGit } from './git-process.js';
import { movedRepository } from './git-redirect.js';
import { displayRemote, isCommitId, type GitReference } from './git-reference.js';

/** A repository's files, in a folder that is removed when the build ends. */
export interface GitCheckout {
  /** Absolute, free of links. */
  readonly root: string;
  readonly commit: string;
  /** Seconds since 1970: the committer's time. */
  readonly committed: number;
}

type Git = (...args: string[]) => Promise<string>;

/**
 * Checks a repository out with the system's git: as shallow as the server allows, with submodules unless they are switched off,
 * without `.git` unless it is to be kept (never for a subfolder). Files get the modes 0644 and 0755 whatever the umask.
 * @throws StrakeError `GIT_FAILED`, `CHECKSUM_MISMATCH`, `CANCELLED`
 */
export async function checkoutGit(
  reference: GitReference,
  services: BuilderServices,
  signal: AbortSignal,
): Promise<GitCheckout> {
  services.witness?.elsewhere();
  const temporary = await services.store.temporary('git');
  services.onCleanup(() => temporary.remove());
  const folder = fs.realpathSync(temporary.path);
  const root = join(folder, 'checkout');
  fs.mkdirSync(root, { mode: 0o755 });
  const { env, secrets, authorization, close } = await gitSurroundings(reference, folder, services);
  const git: Git = (...args) => runGit(args, { cwd: root, env, signal, secrets });
  try {
    return await checkOut(git, reference, root);
  } catch (error) {
    if (!(error instanceof GitFailure)) throw error;
    // Once: what answers git and us differently could lead us on for ever.
    const refused = authorization !== undefined && !reference.moved && /returned error: 30[12378]/.test(error.said);
    const moved = refused
      ? await movedRepository(reference, authorization, services, signal).catch(() => undefined)
      : undefined;
    if (moved) return await checkoutGit(moved, services, signal);
    throw explained(reference, error);
  } finally {
    await close();
  }
}

async function checkOut(git: Git, reference: GitReference, root: string): Promise<GitCheckout> {
  const wanted = await findCommit(git, reference);
  const format = wanted.id.length === 64 ? ['--object-format=sha256'] : [];
  await git('init', '--quiet', '--template=', '--initial-branch=master', ...format, '.');
  await git('remote', 'add', 'origin', reference.remote);
  const fetched = await fetchCommit(git, reference, wanted);
  const commit = await revParse(git, `${fetched}^{commit}`);
  const { checksum } = reference;
  if (checksum !== undefined && ![commit, fetched].some((id) => id.startsWith(checksum.toLowerCase()))) {
    throw builderError(
      'CHECKSUM_MISMATCH',
      `${displayRemote(reference.remote)}: expected checksum to match ${checksum}, got ${commit}`,
      { hint: 'The branch or tag points to another commit than it did, or the checksum is that of another one.' },
    );
  }
  await git('checkout', '--quiet', '--force', '--detach', commit);
  if (reference.submodules !== false && fs.existsSync(join(root, '.gitmodules'))) {
    await withoutDepth(git, ['submodule', '--quiet', 'update', '--init', '--recursive', '--depth=1']);
  }
  const committed = Number((await git('log', '-1', '--format=%ct', commit)).trim());
  const used = subfolder(reference, root);
  if (reference.keepGitDir === true && reference.subdir === '') {
    await tidyRepository(git, root);
  } else removeGitFolders(root);
  tidyCheckout(used);
  if (reference.mtime === 'commit') setTimes(used, committed);
  return { root: used, commit, committed };
}

/** What to fetch: an id, or a ref with the id that it has at the server. */
interface Wanted {
  readonly id: string;
  readonly ref: string | undefined;
}

async function findCommit(git: Git, reference: GitReference): Promise<Wanted> {
  const { ref, checksum, remote } = reference;
  if (ref !== undefined && isCommitId(ref)) return { id: ref, ref: undefined };
  if (reference.fetchByCommit) {
    if (checksum !== undefined && isCommitId(checksum)) return { id: checksum, ref: undefined };
    throw failed(reference, 'fetch-by-commit takes a whole commit id as checksum');
  }
  const pattern = ref ?? 'HEAD';
  const listed = await git('ls-remote', '--symref', '--', remote, pattern, `${pattern}^{}`);
  const ids = new Map<string, string>();
  let branch: string | undefined;
  for (const line of listed.split('\n')) {
    const [left = '', name = ''] = line.split('\t');
    if (left.startsWith('ref: ') && name === 'HEAD') branch = left.slice(5);
    else if (isCommitId(left)) ids.set(name, left);
  }
  // A name that is both a branch and a tag means the branch, as in `git checkout`.
  const names =
    ref === undefined ? ['HEAD'] : [`refs/${ref.replace(/^refs\//, '')}`, `refs/heads/${ref}`, `refs/tags/${ref}`, ref];
  for (const name of names) {
    const id = ids.get(name);
    if (id !== undefined) return { id, ref: name === 'HEAD' ? (branch ?? name) : name };
  }
  throw failed(
    reference,
    ref === undefined ? 'the repository is empty' : `it has no branch or tag "${ref}"`,
    ref !== undefined && /^[0-9a-f]{4,63}$/.test(ref) ? 'A commit must be given with all its digits.' : undefined,
  );
}

/** Fetches, and returns the id of what came: a commit, or a tag object. */
async function fetchCommit(git: Git, reference: GitReference, { id, ref }: Wanted): Promise<string> {
  const fetch = ['fetch', '--quiet', '--force', '--update-head-ok', '--no-tags', '--depth=1', '--', 'origin'];
  if (ref !== undefined) {
    await withoutDepth(git, [...fetch, ref === 'HEAD' ? ref : `+${ref}:${ref}`]);
    return revParse(git, 'FETCH_HEAD');
  }
  try {
    await withoutDepth(git, [...fetch, id]);
    if (reference.fetchByCommit && reference.ref !== undefined && !isCommitId(reference.ref)) {
      const name = reference.ref.startsWith('refs/') ? reference.ref : `refs/heads/${reference.ref}`;
      await git('update-ref', name, id);
    }
  } catch (error) {
    if (
      !(error instanceof GitFailure) ||
      reference.fetchByCommit ||
      !/not our ref|unadvertised|not allow/.test(error.said)
    ) {
      throw error;
    }
    // The server gives out only what its refs name: the commit must be among their history.
    const all = ['+refs/heads/*:refs/remotes/origin/*', '+refs/tags/*:refs/tags/*'];
    await git('fetch', '--quiet', '--force', '--', 'origin', ...all);
  }
  try {
    return await revParse(git, id);
  } catch (error) {
    if (!(error instanceof GitFailure)) throw error;
    throw failed(reference, `it has no commit ${id}`);
  }
}

async function revParse(git: Git, name: string): Promise<string> {
  const spec = isCommitId(name) ? `${name}^{object}` : name;
  return (await git('rev-parse', '--verify', '--quiet', '--end-of-options', spec)).trim();
}

/** Some servers cannot make shallow copies. */
async function withoutDepth(git: Git, args: readonly string[]): Promise<void> {
  try {
    await git(...args);
  } catch (error) {
    if (!(error instanceof GitFailure) || !/--depth|shallow/.test(error.said)) throw error;
    await git(...args.filter((arg) => arg !== '--depth=1'));
  }
}

/** A `.git` that is kept says nothing of this machine and this moment: what depends on the commit alone is the same every time. */
async function tidyRepository(git: Git, root: string): Promise<void> {
  for (const name of ['FETCH_HEAD', 'ORIG_HEAD', 'logs', 'hooks', 'index']) {
    fs.rmSync(join(root, '.git', name), { recursive: true, force: true });
  }
  await git('read-tree', 'HEAD');
}

/** The folder that `#ref:dir` names. Its path leads over folders only: a link could lead anywhere (CVE-2026-33748). */
function subfolder(reference: GitReference, root: string): string {
  let path = root;
  for (const part of reference.subdir.split('/').filter((name) => name !== '')) {
    path = join(path, part);
    if (part.toLowerCase() === '.git' || !fs.lstatSync(path, { throwIfNoEntry: false })?.isDirectory()) {
      throw failed(reference, `"${reference.subdir}" is not a folder of the repository`);
    }
  }
  return path;
}

function failed(reference: GitReference, why: string, hint?: string, cause?: unknown): StrakeError {
  const what = `cannot fetch the repository ${displayRemote(reference.remote)}`;
  return builderError('GIT_FAILED', `${what}: ${why}`, { hint, cause });
}

function explained(reference: GitReference, error: GitFailure): StrakeError {
  const hint = /could not read (?:Username|Password)|Authentication failed|\b40[13]\b|Invalid username/.test(error.said)
    ? `It may need a login: give the secret GIT_AUTH_TOKEN.${reference.host} (or GIT_AUTH_TOKEN, GIT_AUTH_HEADER).`
    : /Permission denied|Host key verification/.test(error.said)
      ? 'Give the build your keys with --ssh default, and check the host in ~/.ssh/known_hosts.'
      : 'Check the address and the network.';
  return failed(reference, error.message, hint, isStrakeError(error.cause) ? error.cause : undefined);
}
