import { callLibc } from './libc.js';

/** Namespaces of unshare(2), `<linux/sched.h>`. */
export const NamespaceFlag = {
  mount: 0x20000,
  cgroup: 0x2000000,
  uts: 0x4000000,
  ipc: 0x8000000,
  user: 0x10000000,
  pid: 0x20000000,
  network: 0x40000000,
} as const;

/**
 * Gives the calling thread new namespaces (unshare(2), {@link NamespaceFlag}); in Node that is the thread that runs JavaScript and
 * starts children. User namespaces are not for processes of several threads.
 * @throws SystemCallError
 */
export function unshare(flags: number): void {
  callLibc('unshare', undefined, 'int unshare(int flags)', flags);
}

/** Makes NEW_ROOT, a mount point, the root of the mount namespace, and puts the old one at PUT_OLD (pivot_root(2)). @throws SystemCallError */
export function pivotRoot(newRoot: string, putOld: string): void {
  callLibc('pivot_root', newRoot, 'int pivot_root(const char *new_root, const char *put_old)', newRoot, putOld);
}

/** chroot(2). Does not change the working directory. @throws SystemCallError */
export function changeRoot(path: string): void {
  callLibc('chroot', path, 'int chroot(const char *path)', path);
}

/** sethostname(2), of the UTS namespace. @throws SystemCallError */
export function setHostname(name: string): void {
  callLibc('sethostname', undefined, 'int sethostname(const char *name, uint64_t size)', name, Buffer.byteLength(name));
}

const [AF_INET, SOCK_DGRAM_CLOEXEC] = [2, 0o2000002];
const SIOCSIFFLAGS = 0x8914;
const [IFF_UP, IFF_RUNNING] = [1, 64];

/** Switches the loopback device of the network namespace on. @throws SystemCallError */
export function enableLoopback(): void {
  const socket = callLibc(
    'socket',
    undefined,
    'int socket(int domain, int type, int protocol)',
    AF_INET,
    SOCK_DGRAM_CLOEXEC,
    0,
  );
  try {
    const request = Buffer.alloc(40);
    request.write('lo');
    request.writeUInt16LE(IFF_UP | IFF_RUNNING, 16);
    callLibc('ioctl', 'lo', 'int ioctl(int fd, uint64_t request, const uint8_t *data)', socket, SIOCSIFFLAGS, request);
  } finally {
    callLibc('close', undefined, 'int close(int fd)', socket);
  }
}
