import { AF_ALG, AF_VSOCK, ENOSYS, EPERM, NAMESPACE_FLAGS, PERSONALITIES } from './seccomp.js';

/** One system call interface of a machine: which numbers the names of the profile have there. */
interface Interface {
  /** AUDIT_ARCH_* of `<linux/audit.h>`. */
  readonly audit: number;
  /** Numbers of the allowed calls, as ranges. */
  readonly allowed: string;
  readonly socket: number;
  readonly personality: number;
  readonly clone: number;
  readonly clone3: number;
}

/** Calls with a higher number are newer than the profile: they give ENOSYS, so that programs use what came before. */
const NEWEST = 469;

const INTERFACES: Readonly<Record<string, readonly Interface[]>> = {
  x64: [
    {
      audit: 0xc000003e,
      allowed:
        '0-40 42-55 57-102 104-133 137-138 140-152 154 157-162 186-211 213-226 228-235 240-245 247 251-255 257-271 273-278 ' +
        '280-297 299 301-303 305-307 309-311 314-319 322 324-335 424 434 436-437 439 441 444-449 451-458 462-466',
      socket: 41,
      personality: 135,
      clone: 56,
      clone3: 435,
    },
    {
      audit: 0x40000003,
      allowed:
        '0-16 19-20 23-24 26-27 29-30 33 36-43 45-47 49-50 54-55 57 60-61 63-66 70-71 75-78 80-83 85 90-97 99-100 102 104-108 ' +
        '114 116-119 122-126 132-133 138-148 150-165 168 170-187 190-216 218-221 224-250 252 254-263 265-272 277-282 284 ' +
        '289-293 295-309 311-316 318-335 337 339-341 343-345 347-348 351-356 358 360-373 375-386 393-403 405-414 416-424 434 ' +
        '436-437 439 441 444-449 451-458 462-466',
      socket: 359,
      personality: 136,
      clone: 120,
      clone3: 435,
    },
  ],
  arm64: [
    {
      audit: 0xc00000b7,
      allowed:
        '0-17 19-38 43-57 59 61-88 90-91 93-96 98-103 107-111 113-115 117-141 143-160 163-169 171-197 199-216 221-223 226-234 ' +
        '240 242-243 260-261 263-264 266-267 269-271 274-279 281 283-293 424 434 436-437 439 441 444-449 451-458 462-466',
      socket: 198,
      personality: 92,
      clone: 220,
      clone3: 435,
    },
  ],
};

/** Offsets in `struct seccomp_data`; the machines above are little-endian, so the low half of an argument comes first. */
const [NUMBER, ARCH, FIRST_ARGUMENT] = [0, 4, 16];
/** Instructions of classic BPF (`<linux/filter.h>`). */
const [LOAD, AND, JUMP, EQUAL, GREATER_OR_EQUAL, RETURN] = [0x20, 0x54, 0x05, 0x15, 0x35, 0x06];
const ALLOW = 0x7fff0000;
const ERRNO = 0x00050000;

type Instruction = readonly [code: number, ifTrue: number, ifFalse: number, value: number];

const result = (value: number): Instruction => [RETURN, 0, 0, value];
const load = (offset: number): Instruction => [LOAD, 0, 0, offset];

/**
 * The filter of {@link seccompProfile} as a program of the kernel (an array of `struct sock_filter`), for executors that load it
 * themselves and for crun, which takes it as it is and saves the 15 ms that compiling the profile costs at each start.
 * Undefined for architectures whose numbers are not known here.
 */
export function seccompFilter(arch: string = process.arch): Buffer | undefined {
  const interfaces = Object.hasOwn(INTERFACES, arch) ? INTERFACES[arch] : undefined;
  if (!interfaces) return undefined;
  const program: Instruction[] = [load(ARCH)];
  for (const { audit, ...rest } of interfaces) {
    const block = [load(NUMBER), ...special(rest), ...search(steps(rest.allowed))];
    // A conditional jump reaches 255 instructions, an unconditional one any number.
    program.push([EQUAL, 1, 0, audit], [JUMP, 0, 0, block.length], ...block);
  }
  program.push(result(ERRNO | ENOSYS));
  const bytes = Buffer.alloc(program.length * 8);
  program.forEach(([code, ifTrue, ifFalse, value], i) => {
    bytes.writeUInt16LE(code, i * 8);
    bytes.writeUInt8(ifTrue, i * 8 + 2);
    bytes.writeUInt8(ifFalse, i * 8 + 3);
    bytes.writeUInt32LE(value, i * 8 + 4);
  });
  return bytes;
}

/** Calls whose arguments decide. Each block is skipped as a whole by its first instruction. */
function special(calls: Omit<Interface, 'audit' | 'allowed'>): Instruction[] {
  const block = (number: number, body: readonly Instruction[]): Instruction[] => [
    [EQUAL, 0, body.length, number],
    ...body,
  ];
  const [yes, no] = [result(ALLOW), result(ERRNO | EPERM)];
  return [
    ...block(calls.clone3, [result(ERRNO | ENOSYS)]),
    ...block(calls.clone, [load(FIRST_ARGUMENT), [AND, 0, 0, NAMESPACE_FLAGS], [EQUAL, 0, 1, 0], yes, no]),
    ...block(calls.socket, [load(FIRST_ARGUMENT), [EQUAL, 1, 0, AF_ALG], [EQUAL, 0, 1, AF_VSOCK], no, yes]),
    ...block(calls.personality, [
      load(FIRST_ARGUMENT),
      ...PERSONALITIES.map((value, i): Instruction => [EQUAL, PERSONALITIES.length - i, 0, value]),
      no,
      yes,
    ]),
  ];
}

interface Step {
  readonly from: number;
  readonly verdict: number;
}

/** What holds from which number on. */
function steps(ranges: string): Step[] {
  const found: Step[] = [];
  let next = 0;
  for (const range of ranges.split(' ')) {
    const [first = 0, last = first] = range.split('-').map(Number);
    if (first > next) found.push({ from: next, verdict: ERRNO | EPERM });
    found.push({ from: first, verdict: ALLOW });
    next = last + 1;
  }
  found.push({ from: next, verdict: ERRNO | EPERM }, { from: NEWEST + 1, verdict: ERRNO | ENOSYS });
  return found;
}

/** A binary search as nested jumps. */
function search(list: readonly Step[]): Instruction[] {
  const [only] = list;
  if (list.length === 1 && only) return [result(only.verdict)];
  const middle = list[list.length >> 1];
  if (!middle) return [];
  const low = search(list.slice(0, list.length >> 1));
  const high = search(list.slice(list.length >> 1));
  return [[GREATER_OR_EQUAL, low.length, 0, middle.from], ...low, ...high];
}
