import { closeDescriptor } from './mount-tree.js';
import { addressOf, callLibc } from './libc.js';

/** A device that a filter lets through; without `minor`, all of a major number. */
export interface AllowedDevice {
  readonly major: number;
  readonly minor?: number | undefined;
}

/** bpf(2) has a number of its own on every older architecture. */
const NUMBERS: Partial<Record<NodeJS.Architecture, number>> = { x64: 321, arm64: 280, riscv64: 280, loong64: 280 };
const PROG_LOAD = 5;
const PROG_ATTACH = 8;
const TYPE_CGROUP_DEVICE = 15;
const ATTACH_CGROUP_DEVICE = 6;
const ALLOW_MULTI = 2;

/** `struct bpf_cgroup_dev_ctx` (`<linux/bpf.h>`): access and kind in one number, then the numbers of the device. */
const Context = { access: 0, major: 4, minor: 8 } as const;
const ACCESS_MKNOD = 1;
const KIND_CHAR = 2;

/** Instructions of BPF (`Documentation/bpf/standardization`), of 64 bits each. */
const Op = {
  load: 0x61,
  copy: 0xbf,
  and: 0x57,
  shift: 0x77,
  ifEqual: 0x15,
  ifNot: 0x55,
  set: 0xb7,
  exit: 0x95,
} as const;

function instruction(op: number, to: number, from: number, offset: number, value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt8(op, 0);
  bytes.writeUInt8((from << 4) | to, 1);
  bytes.writeInt16LE(offset, 2);
  bytes.writeInt32LE(value, 4);
  return bytes;
}

const returning = (value: number): Buffer[] => [instruction(Op.set, 0, 0, 0, value), instruction(Op.exit, 0, 0, 0, 0)];

/** Registers 2 to 5: kind, access, major, minor. Nodes of all devices may be made; of those let through, character devices, all else may be done. */
function program(allowed: readonly AllowedDevice[]): Buffer {
  return Buffer.concat([
    instruction(Op.load, 2, 1, Context.access, 0),
    instruction(Op.copy, 3, 2, 0, 0),
    instruction(Op.and, 2, 0, 0, 0xffff),
    instruction(Op.shift, 3, 0, 0, 16),
    instruction(Op.load, 4, 1, Context.major, 0),
    instruction(Op.load, 5, 1, Context.minor, 0),
    instruction(Op.ifNot, 3, 0, 2, ACCESS_MKNOD),
    ...returning(1),
    instruction(Op.ifEqual, 2, 0, 2, KIND_CHAR),
    ...returning(0),
    ...allowed.flatMap(({ major, minor }) =>
      minor === undefined
        ? [instruction(Op.ifNot, 4, 0, 2, major), ...returning(1)]
        : [instruction(Op.ifNot, 4, 0, 3, major), instruction(Op.ifNot, 5, 0, 2, minor), ...returning(1)],
    ),
    ...returning(0),
  ]);
}

function bpf(command: number, attributes: Buffer): number {
  const nr = NUMBERS[process.arch];
  if (nr === undefined) throw Object.assign(new Error(`ENOSYS: bpf on ${process.arch}`), { code: 'ENOSYS' });
  const prototype = 'long syscall(long nr, long command, const uint8_t *attributes, uint64_t size)';
  return callLibc('bpf', undefined, prototype, nr, command, attributes, attributes.length);
}

/**
 * Keeps the processes of a cgroup of version 2, and of those below, from all devices but the character devices in ALLOWED; device
 * nodes of any kind may be made (BPF_PROG_TYPE_CGROUP_DEVICE). It goes with the cgroup. Needs CAP_BPF, or CAP_SYS_ADMIN, and CAP_NET_ADMIN.
 * @param cgroup a descriptor of its folder
 * @throws SystemCallError; Error with the code ENOSYS
 */
export function filterDevices(cgroup: number, allowed: readonly AllowedDevice[]): void {
  const code = program(allowed);
  const licence = Buffer.from('GPL\0');
  const load = Buffer.alloc(48);
  load.writeUInt32LE(TYPE_CGROUP_DEVICE, 0);
  load.writeUInt32LE(code.length / 8, 4);
  load.writeBigUInt64LE(addressOf(code), 8);
  load.writeBigUInt64LE(addressOf(licence), 16);
  const loaded = bpf(PROG_LOAD, load);
  try {
    const attach = Buffer.alloc(16);
    attach.writeUInt32LE(cgroup, 0);
    attach.writeUInt32LE(loaded, 4);
    attach.writeUInt32LE(ATTACH_CGROUP_DEVICE, 8);
    attach.writeUInt32LE(ALLOW_MULTI, 12);
    bpf(PROG_ATTACH, attach);
  } finally {
    closeDescriptor(loaded);
  }
}
