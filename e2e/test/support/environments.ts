import { plainContainerCommand } from '@strake/runtime/testing';
import { spawnSync } from 'node:child_process';
import { chownSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { installInPlace, removeContainer, startContainer, type DockerPlace } from './docker-place.js';
import { findProgram } from './programs.js';
import { STRAKE } from './repository.js';

/** A place to build in, made on this machine by root. */
export interface Environment {
  readonly name: string;
  /** What `strake doctor` must say that it uses: an isolation, and a snapshotter. */
  readonly uses: readonly string[];
  /** The beginning of a command that is to run in it. FOLDER: a folder of its own. */
  readonly command: (folder: string) => readonly string[];
  /** The command as it is called there; default: this repository's. */
  readonly strake?: readonly string[];
  /** Further arguments of strake. */
  readonly arguments?: readonly string[];
  /** Recorded builds of the suite that come out differently there: docs/chroot.md has the reasons. */
  readonly differs?: readonly string[];
  /** Builds that cannot work there: steps that need a second user id. */
  readonly without?: readonly string[];
  /** Where its store is, unless in its folder. */
  readonly store?: (folder: string) => string;
  readonly prepare?: (folder: string) => void;
  readonly close?: (folder: string) => void;
  /** What doctor must say besides. */
  readonly says?: readonly RegExp[];
  /** Why it cannot be made here; undefined where it can. */
  readonly obstacle?: () => string | undefined;
}

/** Builds of the suite that need what a chroot lacks; docs/chroot.md has the reason for each. */
const CHROOT_LACKS = [
  ...['capabilities', 'dev-nodes', 'dev-proc-sys', 'device-node', 'hostname', 'hosts-write', 'shm-size'].map(
    (name) => `fs/run/${name}`,
  ),
  'fs/mount/tmpfs',
  // Steps without a network.
  'fs/network/none',
  'fs/cache/network-mode',
  'lang/history/run',
  'fs/user-workdir/user-no-rights',
];
/** Builds of the suite that need another's rights: a device node, and a file of mode 0 that is read all the same (SECURITY.md). */
const USERS_LACK = ['fs/run/device-node', 'fs/copy/modes-kept'];
/** And those with a step that needs a second user id: it runs as another user, or changes an owner. */
const ONE_ID_LACKS = [
  ...USERS_LACK,
  ...['cache/user-and-workdir', 'copy/parents-from-stage', 'mount/secret-target', 'mount/secret-user'],
  ...['multistage-fs/chain', 'multistage-fs/whole-root', 'run/metadata-only', 'run/symlink-change', 'run/volume'],
  ...['home', 'user-no-rights', 'workdir-of-base-stage', 'workdir-owner'].map((name) => `user-workdir/${name}`),
].map((name) => (name.startsWith('fs/') ? name : `fs/${name}`));

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

const FOLDERS = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'];

/** Covers runc and crun with a file that is no program, wherever they would be found. */
const HIDE_RUNTIMES = `for at in ${FOLDERS.join(' ')}; do
  for name in runc crun; do if [ -e "$at/$name" ]; then mount --bind "$0/none" "$at/$name"; fi; done
done`;

/** Rows that are containers as `docker run` makes them, with nothing allowed that Docker does not allow by itself. */
function dockerRows(place: DockerPlace | string): readonly Environment[] {
  const containers = new Map<string, string>();
  const row = (
    name: string,
    options: readonly string[],
    store: (folder: string) => string,
    more: Partial<Environment> = {},
  ): Environment => ({
    name,
    uses: ['chroot', 'copy'],
    // Variables of the one who calls it do not come into a container.
    differs: [...CHROOT_LACKS, 'fs/mount/secret-from-variable'],
    says: [/^namespaces +no /m, /^limits +no /m, /^security: Build only what you trust/m],
    obstacle: () => (typeof place === 'string' ? place : undefined),
    prepare: (folder) => {
      if (typeof place === 'string') return;
      containers.set(folder, startContainer(place, options));
    },
    close: (folder) => removeContainer(containers.get(folder) ?? ''),
    command: (folder) => [findProgram('docker') ?? 'docker', 'exec', containers.get(folder) ?? ''],
    store,
    ...(typeof place === 'string' ? {} : { strake: installInPlace(place) }),
    ...more,
  });
  return [
    row('docker run', [], () => '/srv/store'),
    row('docker run with a read-only root and a volume', ['--read-only'], (folder) => path.join(folder, 'store')),
  ];
}

/** How strake is called in a place. */
export function strakeIn(environment: Environment): readonly string[] {
  return environment.strake ?? [process.execPath, STRAKE];
}

/** All rows of the matrix, the one that others are compared with first. DOCKER: where containers can be started, or why not. */
export function environments(docker: DockerPlace | string): readonly Environment[] {
  const mounted = (folder: string): string => path.join(folder, 'm', 'store');
  const withMount = (folder: string): void => mkdirSync(path.join(folder, 'm'));
  return [
    { name: 'root', uses: ['(crun|runc)', 'overlay'], command: () => [] },
    {
      name: 'root where neither runc nor crun is installed',
      uses: ['native', 'overlay'],
      command: mounting(HIDE_RUNTIMES),
      prepare: (folder) => writeFileSync(path.join(folder, 'none'), '', { mode: 0o644 }),
      says: [/^crun: Install the package crun/m],
    },
    { name: 'root with copies', uses: [ANY, 'copy'], command: () => [], arguments: ['--snapshotter', 'copy'] },
    {
      name: 'an ordinary user with ids',
      uses: [ANY, 'overlay'],
      differs: USERS_LACK,
      command: () => asUser(USER),
      prepare: giveTo(USER),
      obstacle: userIsMissing,
    },
    {
      name: 'an ordinary user with one id',
      uses: [ANY, 'overlay'],
      differs: ONE_ID_LACKS,
      command: () => asUser(NOBODY),
      prepare: giveTo(NOBODY),
      without: ['users', 'node-app', 'python-app', 'almanac'],
      says: [/^subordinate ids: For files of other users, as root: /m],
    },
    {
      name: 'a container without privileges',
      uses: ['chroot', 'copy'],
      differs: CHROOT_LACKS,
      command: () => plainContainerCommand(),
      says: [/^namespaces +no /m, /^completeness: Allow namespaces: /m],
    },
    {
      name: 'a container without privileges in a user namespace',
      uses: ['chroot', 'copy'],
      differs: CHROOT_LACKS,
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
      differs: CHROOT_LACKS,
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
      says: [/^attributes +no /m],
    },
    ...dockerRows(docker),
  ];
}
