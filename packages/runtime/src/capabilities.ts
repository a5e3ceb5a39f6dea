/** Linux capabilities in the order of their numbers (`<linux/capability.h>`). */
export const CAPABILITIES: readonly string[] = (
  'CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE ' +
  'NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN ' +
  'SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE ' +
  'MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE'
)
  .split(' ')
  .map((name) => `CAP_${name}`);

/** The fourteen of Docker, as a bit set: a80425fb. */
export const DEFAULT_CAPABILITIES = 0xa80425fbn;

/** The names of a bit set. */
export function capabilityNames(set: bigint): string[] {
  return CAPABILITIES.filter((_name, i) => (set & (1n << BigInt(i))) !== 0n);
}

/** The bit set of a line such as `CapBnd:\t00000000a80425fb` in the text of a /proc/PID/status. */
export function capabilitySet(status: string, name: 'CapBnd' | 'CapEff' | 'CapPrm'): bigint {
  const digits = new RegExp(`^${name}:\\s*([0-9a-f]+)$`, 'm').exec(status)?.[1];
  return digits === undefined ? 0n : BigInt(`0x${digits}`);
}
