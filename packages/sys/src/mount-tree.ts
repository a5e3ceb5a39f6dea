import { SystemCallError } from './errors.js';
import { callLibc } from './libc.js';

/** Numbers of system calls that C libraries do not wrap yet; the same on every architecture (they are newer than 2018). */
const Nr = { openTree: 428, moveMount: 429, fsopen: 430, fsconfig: 431, fsmount: 432, mountSetattr: 442 } as const;

const AT_FDCWD = -100;
const AT_EMPTY_PATH = 0x1000;
const AT_RECURSIVE = 0x8000;
const OPEN_TREE_CLONE = 1;
const OPEN_TREE_CLOEXEC = 0o2000000;
const FSOPEN_CLOEXEC = 1;
const FSMOUNT_CLOEXEC = 1;
const FSCONFIG_SET_FLAG = 0;
const FSCONFIG_SET_STRING = 1;
const FSCONFIG_CMD_CREATE = 6;
const MOVE_MOUNT_EMPTY_PATHS = 0x04 | 0x40;

/** Attributes of a mount (`<linux/mount.h>`, MOUNT_ATTR_*), for fsmount(2) and mount_setattr(2). */
export const MountAttribute = { readonly: 1, nosuid: 2, nodev: 4, noexec: 8 } as const;

/**
 * Makes a mount of a new file system and returns its descriptor; it is attached nowhere yet (fsopen(2), fsconfig(2), fsmount(2)).
 * A parameter with the value `true` is a flag. Parameters may repeat, as overlay's `lowerdir+` does.
 * @throws SystemCallError with the file system's type as `path`; `ENOSYS` before Linux 5.2
 */
export function makeMount(
  type: string,
  parameters: readonly (readonly [name: string, value: string | true])[],
  attributes = 0,
  source?: string,
): number {
  const context = callLibc(
    'fsopen',
    type,
    'long syscall(long nr, const char *type, uint64_t flags)',
    Nr.fsopen,
    type,
    FSOPEN_CLOEXEC,
  );
  try {
    if (source !== undefined) configure(context, type, FSCONFIG_SET_STRING, 'source', source);
    for (const [name, value] of parameters) {
      if (value === true) configure(context, type, FSCONFIG_SET_FLAG, name, null);
      else configure(context, type, FSCONFIG_SET_STRING, name, value);
    }
    configure(context, type, FSCONFIG_CMD_CREATE, null, null);
    const prototype = 'long syscall(long nr, long fd, uint64_t flags, uint64_t attributes)';
    return callLibc('fsmount', type, prototype, Nr.fsmount, context, FSMOUNT_CLOEXEC, attributes);
  } finally {
    closeDescriptor(context);
  }
}

function configure(context: number, type: string, command: number, key: string | null, value: string | null): void {
  const prototype = 'long syscall(long nr, long fd, uint64_t command, const char *key, const char *value, long aux)';
  callLibc('fsconfig', key === null ? type : `${type} ${key}`, prototype, Nr.fsconfig, context, command, key, value, 0);
}

/**
 * A copy of the mount that holds PATH (a path, or a descriptor of a file or folder), as a descriptor of a mount attached
 * nowhere: a bind mount in the making (open_tree(2), OPEN_TREE_CLONE). With `recursive`, the mounts below come along.
 * @throws SystemCallError
 */
export function cloneMount(path: string | number, options: { readonly recursive?: boolean } = {}): number {
  const flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (options.recursive ? AT_RECURSIVE : 0);
  const prototype = 'long syscall(long nr, long fd, const char *path, uint64_t flags)';
  return typeof path === 'string'
    ? callLibc('open_tree', path, prototype, Nr.openTree, AT_FDCWD, path, flags)
    : callLibc('open_tree', undefined, prototype, Nr.openTree, path, '', flags | AT_EMPTY_PATH);
}

/** Attaches the mount MOUNT on the file or folder that TARGET is a descriptor of (move_mount(2)). @throws SystemCallError */
export function attachMount(mount: number, target: number): void {
  const prototype = 'long syscall(long nr, long from, const char *a, long to, const char *b, uint64_t flags)';
  callLibc('move_mount', undefined, prototype, Nr.moveMount, mount, '', target, '', MOVE_MOUNT_EMPTY_PATHS);
}

/** Sets attributes ({@link MountAttribute}) of a mount, and of all mounts below with `recursive` (mount_setattr(2), Linux 5.12). @throws SystemCallError */
export function setMountAttributes(mount: number, set: number, options: { readonly recursive?: boolean } = {}): void {
  const attributes = Buffer.alloc(32);
  attributes.writeBigUInt64LE(BigInt(set), 0);
  const flags = AT_EMPTY_PATH | (options.recursive ? AT_RECURSIVE : 0);
  const prototype =
    'long syscall(long nr, long fd, const char *path, uint64_t flags, const uint8_t *attributes, uint64_t size)';
  callLibc('mount_setattr', undefined, prototype, Nr.mountSetattr, mount, '', flags, attributes, attributes.length);
}

/** close(2), for descriptors that Node did not open. A descriptor that is closed already is no error. */
export function closeDescriptor(fd: number): void {
  try {
    callLibc('close', undefined, 'int close(int fd)', fd);
  } catch (error) {
    if (!(error instanceof SystemCallError)) throw error;
  }
}
