import { CAPABILITIES, capabilityNames, capabilitySet, DEFAULT_CAPABILITIES } from './capabilities.js';
import { nodeAttribute } from './device-folder.js';
import type { ResourceLimit } from './rlimits.js';
import { seccompFilter } from './seccomp-filter.js';
import { seccompProfile } from './seccomp.js';
import type { ContainerSpec } from './types.js';
import { inUserNamespace } from './user-namespace.js';

/** Paths that steps do not see: as Docker has them. */
export const MASKED_PATHS: readonly string[] = [
  ...'acpi asound interrupts kcore keys latency_stats sched_debug scsi timer_list timer_stats'
    .split(' ')
    .map((p) => `/proc/${p}`),
  '/sys/firmware',
  '/sys/devices/virtual/powercap',
];
/** Paths that steps cannot write: as Docker has them. */
export const READONLY_PATHS: readonly string[] = 'bus fs irq sys sysrq-trigger'.split(' ').map((p) => `/proc/${p}`);

export interface ConfigFacts {
  /** Where the assembled root is mounted. */
  readonly root: string;
  readonly cwd: string;
  /** Whether /sys is there already. */
  readonly sysfs: boolean;
  readonly limits: readonly ResourceLimit[];
  /** The text of /proc/self/status: no capability is asked for that this process lacks. */
  readonly status: string;
  readonly flavor: 'runc' | 'crun';
  /** mount(8) of this machine, where device nodes would otherwise work: with crun, outside user namespaces. */
  readonly mountProgram?: string | undefined;
}

/**
 * The config.json of a container (OCI runtime-spec 1.0). No cgroup and no device rule stand in it: devices are taken care of by
 * the mounts of the root, of which but those of /dev none honours device nodes; or else by this process's device guard.
 */
export function ociConfig(spec: ContainerSpec, facts: ConfigFacts): string {
  const sandbox = spec.security === 'sandbox';
  const worksWithNodes = nodeAttribute(spec) === 0;
  const own = capabilitySet(facts.status, 'CapBnd') & capabilitySet(facts.status, 'CapPrm');
  const wanted = sandbox ? DEFAULT_CAPABILITIES : (1n << BigInt(CAPABILITIES.length)) - 1n;
  const capabilities = capabilityNames(wanted & own);
  const nodev = worksWithNodes ? [] : ['nodev'];
  const quiet = ['nosuid', 'noexec', 'nodev'];
  const config = {
    ociVersion: '1.0.2',
    process: {
      terminal: spec.tty === true,
      user: { ...spec.user, umask: 0o022 },
      args: spec.args,
      env: spec.env,
      cwd: facts.cwd,
      capabilities: {
        bounding: capabilities,
        effective: capabilities,
        permitted: capabilities,
        // As in BuildKit: an insecure step that is no root has its rights by them.
        inheritable: sandbox ? [] : capabilities,
        ambient: sandbox ? [] : capabilities,
      },
      rlimits: facts.limits.map(({ type, soft, hard }) => ({ type, soft: `<${soft}>`, hard: `<${hard}>` })),
      noNewPrivileges: false,
    },
    root: { path: facts.root, readonly: false },
    hostname: spec.hostname,
    mounts: [
      { destination: '/proc', type: 'proc', source: 'proc', options: quiet },
      // A bind mount onto itself tells runtimes that /dev is ready, and to make nothing in it.
      {
        destination: '/dev',
        type: 'bind',
        source: `${facts.root}/dev`,
        options: ['rbind', 'rprivate', 'nosuid', ...nodev],
      },
      { destination: '/dev/mqueue', type: 'mqueue', source: 'mqueue', options: quiet },
      ...(facts.sysfs
        ? []
        : [{ destination: '/sys', type: 'sysfs', source: 'sysfs', options: [...quiet, ...(sandbox ? ['ro'] : [])] }]),
      ...(sandbox || inUserNamespace()
        ? []
        : [{ destination: '/sys/fs/cgroup', type: 'cgroup', source: 'cgroup', options: [...quiet, 'rw'] }]),
    ],
    linux: {
      namespaces: ['pid', 'ipc', 'uts', 'mount', 'cgroup', ...(spec.network === 'none' ? ['network'] : [])].map(
        (type) => ({ type }),
      ),
      maskedPaths: sandbox ? MASKED_PATHS : [],
      readonlyPaths: sandbox ? READONLY_PATHS : [],
      ...(sandbox ? { seccomp: seccompProfile() } : {}),
    },
    ...(facts.flavor === 'crun' ? forCrun(spec, facts) : {}),
  };
  // Limits are 64-bit numbers, which JSON.stringify cannot write.
  return JSON.stringify(config).replace(/"(soft|hard)":"<(\d+)>"/g, '"$1":$2');
}

/**
 * What crun takes beyond the specification: the filter ready-made instead of the profile, which it then does not compile. And a
 * hook for what it takes away: it mounts the root once more without its attributes, and device nodes would work for a real root.
 */
function forCrun(spec: ContainerSpec, facts: ConfigFacts): object {
  const filter = spec.security === 'insecure' ? undefined : seccompFilter();
  // A hook must read what crun writes to it, or crun may fail; mount(8) does not. The words are arguments, not parts of the script.
  const remount = {
    path: '/bin/sh',
    args: ['sh', '-c', 'read -r _; exec "$0" -o remount,bind,nodev "$1"', facts.mountProgram, facts.root],
    env: ['PATH=/usr/bin:/bin'],
  };
  return {
    ...(filter ? { annotations: { 'run.oci.seccomp_bpf_data': filter.toString('base64') } } : {}),
    ...(facts.mountProgram === undefined || nodeAttribute(spec) === 0 ? {} : { hooks: { createContainer: [remount] } }),
  };
}
