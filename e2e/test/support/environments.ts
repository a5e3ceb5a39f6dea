import { plainContainerCommand } from '@strake/runtime/testing';
import { spawnSync } from 'node:child_process';
import { chownSync, mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

/** A place to build in, made on this machine by root. */
export interface Environment {
  readonly name: string;
  /** What `strake doctor` must say that it uses: an isolation, and a snapshotter. */
  readonly uses: readonly string[];
  /** The beginning of a command that is to run in it. FOLDER: a folder of its own. */
  readonly command: (folder: string) => readonly string[];
  /** Further arguments of strake. */
  readonly arguments?: readonly string[];
  /** Builds that cannot work there: steps that need a second user id. */
  readonly without?: readonly string[];
  /** Where its store is, unless in its folder. */
  readonly store?: (folder: string) => string;
  readonly prepare?: (folder: string) => void;
  /** Why it cannot be made here; undefined where it can. */
  readonly obstacle?: () => string | undefined;
}

const USER = 'strake-test';
const NOBODY = 54321;
const ANY = '(crun|runc|native)';

/** Runs SCRIPT with mounts of its own before the command, with $0 as the environment's folder. */
function mounting(script: string): Environment['command'] {
  return (folder) => ['unshare', '--mount', '--propagation', 'private', 'sh', '-ec', `${script}; exec "$@"`, folder];
}

function asUser(uid: string | number): readonly string[] {
  return ['setpriv', `--reuid=${uid}`, `--regid=${uid}`, '--clear-groups'];
}

function userIsMissing(): string | undefined {
  if (spawnSync('id', [USER]).status !== 0 && spawnSync('useradd', ['--create-home', USER]).status !== 0)
    return 'useradd does not work';
  return readFileSync('/etc/subuid', 'utf8').includes(`${USER}:`) ? undefined : 'the test user has no ids';
}

function giveTo(user: string | number): Environment['prepare'] {
  return (folder) => {
    const id = typeof user === 'number' ? user : Number(spawnSync('id', ['-u', user], { encoding: 'utf8' }).stdout);
    chownSync(folder, id, id);
  };
}

/** All rows of the matrix, the one that others are compared with first. */
export function environments(): readonly Environment[] {
  const mounted = (folder: string): string => path.join(folder, 'm', 'store');
  const withMount = (folder: string): void => mkdirSync(path.join(folder, 'm'));
  return [
    { name: 'root', uses: ['(crun|runc)', 'overlay'], command: () => [] },
    {
      name: 'root without a runtime',
      uses: ['native', 'overlay'],
      command: () => [],
      arguments: ['--isolation', 'native'],
    },
    { name: 'root with copies', uses: [ANY, 'copy'], command: () => [], arguments: ['--snapshotter', 'copy'] },
    {
      name: 'an ordinary user with ids',
      uses: [ANY, 'overlay'],
      command: () => asUser(USER),
      prepare: giveTo(USER),
      obstacle: userIsMissing,
    },
    {
      name: 'an ordinary user with one id',
      uses: [ANY, 'overlay'],
      command: () => asUser(NOBODY),
      prepare: giveTo(NOBODY),
      without: ['users'],
    },
    { name: 'a container without privileges', uses: ['chroot', 'copy'], command: () => plainContainerCommand() },
    {
      name: 'a container without privileges in a user namespace',
      uses: ['chroot', 'copy'],
      command: () => [
        ...asUser(USER),
        ...['unshare', '--user', '--map-root-user', '--map-auto', '--'],
        ...plainContainerCommand(),
      ],
      prepare: giveTo(USER),
      obstacle: userIsMissing,
    },
    {
      name: 'a container with a read-only root and a volume',
      uses: ['chroot', 'copy'],
      command: (folder) => [
        ...mounting('mount --bind "$0/m" "$0/m"; mount -o remount,bind,ro /')(folder),
        ...plainContainerCommand(),
      ],
      prepare: withMount,
      store: mounted,
    },
    {
      name: 'a store in memory',
      uses: [ANY, 'overlay'],
      command: mounting('mount -t tmpfs tmpfs "$0/m"'),
      prepare: withMount,
      store: mounted,
    },
    {
      name: 'a store on an overlay',
      uses: [ANY, 'copy'],
      command: mounting(
        'mkdir -p "$0/l" "$0/u" "$0/w"; mount -t overlay -o "lowerdir=$0/l,upperdir=$0/u,workdir=$0/w" o "$0/m"',
      ),
      prepare: withMount,
      store: mounted,
    },
    {
      name: 'a store without extended attributes',
      uses: [ANY, 'copy'],
      command: mounting('mount -t ramfs ramfs "$0/m"'),
      prepare: withMount,
      store: mounted,
    },
  ];
}
