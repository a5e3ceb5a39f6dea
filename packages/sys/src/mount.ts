import { callLibc } from './libc.js';

/** Flags of mount(2), `<sys/mount.h>`. */
export const MountFlag = {
  readonly: 1,
  nosuid: 2,
  nodev: 4,
  noexec: 8,
  remount: 32,
  noatime: 1024,
  bind: 4096,
  move: 8192,
  rec: 16384,
  unbindable: 131072,
  private: 262144,
  slave: 524288,
  shared: 1048576,
} as const;

/** Flags of umount2(2). */
export const UnmountFlag = { force: 1, detach: 2, nofollow: 8 } as const;

/** mount(2). TYPE and DATA may be null, as there. @throws SystemCallError */
export function mount(source: string, target: string, type: string | null, flags: number, data: string | null): void {
  callLibc(
    'mount',
    target,
    'int mount(const char *source, const char *target, const char *type, uint64_t flags, const char *data)',
    source,
    target,
    type,
    flags,
    data,
  );
}

/** umount2(2). @throws SystemCallError */
export function unmount(target: string, flags = 0): void {
  callLibc('umount2', target, 'int umount2(const char *target, int flags)', target, flags);
}
