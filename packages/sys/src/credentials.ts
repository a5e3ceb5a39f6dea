import { SystemCallError } from './errors.js';
import { addressOf, callLibc } from './libc.js';

const PR_CAPBSET_DROP = 24;
const PR_CAP_AMBIENT = 47;
const PR_CAP_AMBIENT_RAISE = 2;
const PR_CAP_AMBIENT_CLEAR_ALL = 4;
const PR_SET_KEEPCAPS = 8;
const PR_SET_SECCOMP = 22;
const PR_SET_NO_NEW_PRIVS = 38;
const SECCOMP_MODE_FILTER = 2;
const CAPABILITY_VERSION_3 = 0x20080522;
const PRCTL = 'int prctl(int option, uint64_t a, uint64_t b, uint64_t c, uint64_t d)';

/** Sets real, effective and saved ids, and the further groups of this process (setgroups(2), setresgid(2), setresuid(2)). @throws SystemCallError */
export function setIdentity(uid: number, gid: number, groups: readonly number[]): void {
  const list = Buffer.alloc(Math.max(groups.length, 1) * 4);
  groups.forEach((group, i) => list.writeUInt32LE(group, i * 4));
  try {
    callLibc('setgroups', undefined, 'int setgroups(uint64_t size, const uint8_t *list)', groups.length, list);
  } catch (error) {
    // Where a user namespace forbids setgroups there are no groups to give up that could be.
    if (!(error instanceof SystemCallError && error.code === 'EPERM' && groups.length === 0)) throw error;
  }
  callLibc('setresgid', undefined, 'int setresgid(uint32_t real, uint32_t effective, uint32_t saved)', gid, gid, gid);
  callLibc('setresuid', undefined, 'int setresuid(uint32_t real, uint32_t effective, uint32_t saved)', uid, uid, uid);
}

/** Takes all capabilities but those of KEEP (a bit set) from what any later program of this thread can have, and the ambient ones. @throws SystemCallError */
export function limitCapabilities(keep: bigint): void {
  callLibc('prctl', undefined, PRCTL, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  for (let capability = 0; capability < 64; capability++) {
    if ((keep & (1n << BigInt(capability))) !== 0n) continue;
    try {
      callLibc('prctl', undefined, PRCTL, PR_CAPBSET_DROP, capability, 0, 0, 0);
    } catch (error) {
      // The kernel knows no more of them.
      if (error instanceof SystemCallError && error.code === 'EINVAL') return;
      throw error;
    }
  }
}

/** No program that this thread starts gets rights that it has not (prctl(2), PR_SET_NO_NEW_PRIVS). It cannot be undone. @throws SystemCallError */
export function forbidNewPrivileges(): void {
  callLibc('prctl', undefined, PRCTL, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

/** Sets the effective and permitted capabilities of this thread; its inheritable ones become none (capset(2)). @throws SystemCallError */
export function setCapabilities(set: bigint): void {
  capset(set, 0n);
}

/**
 * Makes this thread UID and the rest as {@link setIdentity}, and lets it, and the programs that it becomes, keep the capabilities of
 * SET, whoever it is then: as ambient ones (capabilities(7)).
 * @throws SystemCallError
 */
export function setIdentityWithCapabilities(set: bigint, ...identity: Parameters<typeof setIdentity>): void {
  callLibc('prctl', undefined, PRCTL, PR_SET_KEEPCAPS, 1, 0, 0, 0);
  setIdentity(...identity);
  capset(set, set);
  for (let capability = 0; capability < 64; capability++) {
    if ((set & (1n << BigInt(capability))) === 0n) continue;
    callLibc('prctl', undefined, PRCTL, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0);
  }
}

function capset(set: bigint, inheritable: bigint): void {
  const header = Buffer.alloc(8);
  header.writeUInt32LE(CAPABILITY_VERSION_3, 0);
  const data = Buffer.alloc(24);
  for (const [shift, at] of [
    [0n, 0],
    [32n, 12],
  ] as const) {
    const half = (bits: bigint): number => Number((bits >> shift) & 0xffffffffn);
    data.writeUInt32LE(half(set), at);
    data.writeUInt32LE(half(set), at + 4);
    data.writeUInt32LE(half(inheritable), at + 8);
  }
  callLibc('capset', undefined, 'int capset(const uint8_t *header, const uint8_t *data)', header, data);
}

/**
 * Filters the system calls of this thread and of whatever it starts with PROGRAM, an array of `struct sock_filter` (seccomp(2)).
 * Needs CAP_SYS_ADMIN, or no_new_privs. It cannot be undone.
 * @throws SystemCallError
 */
export function filterSystemCalls(program: Buffer): void {
  // struct sock_fprog: the number of instructions, and a pointer aligned to its size.
  const description = Buffer.alloc(16);
  description.writeUInt16LE(program.length / 8, 0);
  description.writeBigUInt64LE(addressOf(program), 8);
  const prototype = 'int prctl(int option, uint64_t mode, const uint8_t *program, uint64_t c, uint64_t d)';
  callLibc('prctl', undefined, prototype, PR_SET_SECCOMP, SECCOMP_MODE_FILTER, description, 0, 0);
}
