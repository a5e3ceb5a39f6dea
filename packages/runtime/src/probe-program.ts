/** What the probe's program ends with: no failure of a runtime looks like it. */
export const PROBE_STATUS = 77;

/** ELF machine numbers and code that calls exit(PROBE_STATUS), by Node's name of the architecture. */
const MACHINES: Readonly<Record<string, { readonly machine: number; readonly code: readonly number[] }>> = {
  // mov edi, 77; mov eax, 60; syscall
  x64: { machine: 62, code: [0xbf, PROBE_STATUS, 0, 0, 0, 0xb8, 60, 0, 0, 0, 0x0f, 0x05] },
  // movz x0, #77; movz x8, #93; svc #0
  arm64: { machine: 183, code: [0xa0, 0x09, 0x80, 0xd2, 0xa8, 0x0b, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4] },
};

const HEADER = 64;
const PROGRAM_HEADER = 56;
const ADDRESS = 0x400000n;

/**
 * A static program of some hundred bytes that only ends with {@link PROBE_STATUS}: a container can be tried without an image, and
 * without programs of the machine. Undefined for architectures that are not known here.
 */
export function probeProgram(arch: string = process.arch): Buffer | undefined {
  const target = Object.hasOwn(MACHINES, arch) ? MACHINES[arch] : undefined;
  if (!target) return undefined;
  const start = HEADER + PROGRAM_HEADER;
  const size = BigInt(start + target.code.length);
  const file = Buffer.alloc(Number(size));
  // ELF header: 64 bits, little-endian, version 1, an executable.
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  file.writeUInt16LE(2, 16);
  file.writeUInt16LE(target.machine, 18);
  file.writeUInt32LE(1, 20);
  file.writeBigUInt64LE(ADDRESS + BigInt(start), 24);
  file.writeBigUInt64LE(BigInt(HEADER), 32);
  file.writeUInt16LE(HEADER, 52);
  file.writeUInt16LE(PROGRAM_HEADER, 54);
  file.writeUInt16LE(1, 56);
  // One segment: the whole file, readable and executable.
  file.writeUInt32LE(1, HEADER);
  file.writeUInt32LE(5, HEADER + 4);
  file.writeBigUInt64LE(ADDRESS, HEADER + 16);
  file.writeBigUInt64LE(ADDRESS, HEADER + 24);
  file.writeBigUInt64LE(size, HEADER + 32);
  file.writeBigUInt64LE(size, HEADER + 40);
  file.writeBigUInt64LE(0x1000n, HEADER + 48);
  file.set(target.code, start);
  return file;
}
