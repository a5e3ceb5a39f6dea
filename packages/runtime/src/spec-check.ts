import { isIP } from 'node:net';

import { specInvalid } from './errors.js';
import type { ContainerSpec } from './types.js';

const HIGHEST_ID = 2 ** 31 - 1;
/** PATH_MAX of Linux, and folders in one another that are made for a mount at most: each is walked to from the root, several times. */
const LONGEST_PATH = 4095;
const DEEPEST_TARGET = 256;
/** runc takes the square of their number, one minute for 100,000. */
const MOST_VARIABLES = 32_768;

/**
 * Refuses what the kernel or a runtime would misread: NUL bytes, variables without a name, relative paths, lines smuggled into
 * /etc/hosts, ids that wrap around to root.
 * @throws StrakeError `CONTAINER_SPEC_INVALID`
 */
export function checkSpec(spec: ContainerSpec): void {
  const refuse = (what: string): never => {
    throw specInvalid(what);
  };
  const text = (value: string, what: string): void => {
    if (value.includes('\0')) refuse(`${what} contains a NUL byte`);
  };
  if (spec.args.length === 0) refuse('there is no command to run');
  for (const arg of spec.args) text(arg, 'the command');
  if (spec.env.length > MOST_VARIABLES) {
    refuse(`the environment has ${spec.env.length} variables, which is too many: the limit is ${MOST_VARIABLES}`);
  }
  for (const entry of spec.env) {
    text(entry, 'a variable of the environment');
    if (entry.indexOf('=') < 1)
      refuse(`"${entry.slice(0, 100)}" is not a variable of the environment: it must be NAME=value`);
  }
  const path = (value: string, what: string): void => {
    text(value, what);
    if (!value.startsWith('/')) refuse(`${what} "${value.slice(0, 100)}" is not an absolute path`);
  };
  path(spec.cwd, 'the working directory');
  for (const mount of spec.mounts) {
    path(mount.target, 'the mount target');
    const deep = mount.target.split('/').length > DEEPEST_TARGET + 1;
    if (deep || Buffer.byteLength(mount.target) > LONGEST_PATH) {
      refuse(`the mount target "${mount.target.slice(0, 100)}…" is too ${deep ? 'deep' : 'long'}`);
    }
    if (mount.kind === 'tree') text(mount.path, 'the mount source');
    if (mount.kind === 'file') for (const id of [mount.uid, mount.gid]) checkId(id, refuse);
    if (mount.kind === 'tmpfs' && mount.size !== undefined) checkSize(mount.size, refuse);
  }
  for (const id of [spec.user.uid, spec.user.gid, ...spec.user.additionalGids]) checkId(id, refuse);
  if (!/^[A-Za-z0-9]([A-Za-z0-9.-]{0,62})?$/.test(spec.hostname))
    refuse(`"${spec.hostname.slice(0, 100)}" is not a host name`);
  for (const { name, address } of spec.extraHosts) {
    if (!/^[^\s#\0]+$/.test(name)) refuse(`"${name.slice(0, 100)}" is not a host name`);
    if (isIP(address) === 0) refuse(`"${address.slice(0, 100)}" is not an IP address`);
  }
  checkSize(spec.shmSize, refuse);
}

function checkId(id: number, refuse: (what: string) => never): void {
  if (!Number.isInteger(id) || id < 0 || id > HIGHEST_ID) refuse(`${id} is not a user or group id: 0 to ${HIGHEST_ID}`);
}

function checkSize(size: number, refuse: (what: string) => never): void {
  if (!Number.isSafeInteger(size) || size < 0) refuse(`${size} is not a size in bytes`);
}
