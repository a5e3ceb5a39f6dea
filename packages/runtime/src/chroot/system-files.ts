import fs from 'node:fs';
import path from 'node:path';

import { errnoOf } from '@strake/core';

/** What of /proc tells about the machine and not about processes. */
const MACHINE_FILES =
  'cpuinfo meminfo version filesystems stat uptime loadavg devices partitions swaps vmstat diskstats cgroups ' +
  'sys/kernel/osrelease sys/kernel/ostype sys/kernel/version sys/kernel/pid_max sys/kernel/threads-max ' +
  'sys/kernel/cap_last_cap sys/kernel/overflowuid sys/kernel/overflowgid sys/kernel/shmmax sys/kernel/shmall ' +
  'sys/kernel/ngroups_max sys/kernel/random/boot_id sys/vm/overcommit_memory sys/vm/overcommit_ratio ' +
  'sys/vm/max_map_count sys/vm/swappiness sys/fs/file-max sys/fs/nr_open sys/fs/pipe-max-size sys/net/core/somaxconn';
const CPU_FILES = 'online possible present kernel_max';
const DEVICE_FILES = 'address ifindex mtu';
const ONE_MOUNT = 'overlay / overlay rw,relatime 0 0\n';
const ONE_MOUNT_INFO = '1 0 0:1 / / rw,relatime - overlay overlay rw\n';

/**
 * Makes FOLDER a /proc where no proc can be mounted: copies of the files that tell about the machine, and a list of one mount. What is
 * about processes is not there, so that programs miss it instead of reading what is not true of them.
 */
export function writeProc(folder: string, hostname: string): void {
  fs.mkdirSync(folder, { mode: 0o555 });
  for (const name of MACHINE_FILES.split(' ')) copyFacts(`/proc/${name}`, path.join(folder, name));
  fs.symlinkSync('self/mounts', path.join(folder, 'mounts'));
  write(path.join(folder, 'self/mounts'), ONE_MOUNT);
  write(path.join(folder, 'self/mountinfo'), ONE_MOUNT_INFO);
  write(path.join(folder, 'sys/kernel/hostname'), `${hostname}\n`);
}

/** Makes FOLDER a /sys: which processors there are, and which network devices. ALONE: without a network, there is loopback. */
export function writeSys(folder: string, alone: boolean): void {
  fs.mkdirSync(folder, { mode: 0o555 });
  for (const name of CPU_FILES.split(' ')) {
    const file = `devices/system/cpu/${name}`;
    copyFacts(`/sys/${file}`, path.join(folder, file));
  }
  for (const device of alone ? ['lo'] : networkDevices()) {
    const place = path.join('class/net', device);
    fs.mkdirSync(path.join(folder, place), { recursive: true, mode: 0o555 });
    for (const name of DEVICE_FILES.split(' ')) copyFacts(`/sys/${place}/${name}`, path.join(folder, place, name));
  }
}

function networkDevices(): string[] {
  try {
    return fs.readdirSync('/sys/class/net');
  } catch {
    return [];
  }
}

function copyFacts(from: string, to: string): void {
  let text: Buffer;
  try {
    text = fs.readFileSync(from);
  } catch (error) {
    // Not every machine has every file, nor lets every process read it.
    if (errnoOf(error) === undefined) throw error;
    return;
  }
  write(to, text);
}

function write(file: string, content: string | Buffer): void {
  fs.mkdirSync(path.dirname(file), { recursive: true, mode: 0o555 });
  fs.writeFileSync(file, content, { mode: 0o444 });
}
