import fs from 'node:fs';
import path from 'node:path';

import { makeMount, MountAttribute } from '@strake/sys';

import { attachAt } from './mount-points.js';

const { nosuid, nodev, noexec } = MountAttribute;
const QUIET = nosuid | nodev | noexec;

/**
 * Mounts the cgroups of this process's cgroup namespace at FOLDER, to be written to, as OCI runtimes do it: version 2, or the
 * hierarchies of version 1 by their names. For the machine's root.
 * @throws SystemCallError
 */
export function mountCgroups(folder: string): void {
  const hierarchies = fs
    .readFileSync('/proc/self/cgroup', 'utf8')
    .split('\n')
    .map((line) => line.split(':')[1])
    .filter((controllers) => controllers !== undefined && controllers !== '');
  if (hierarchies.length === 0) return attachAt(makeMount('cgroup2', [], QUIET, 'cgroup'), folder);
  attachAt(makeMount('tmpfs', [['mode', '0755']], QUIET, 'tmpfs'), folder);
  for (const controllers of hierarchies as string[]) {
    const name = controllers.replace(/^name=/, '');
    const at = path.join(folder, name);
    fs.mkdirSync(at);
    const parameters: [string, string | true][] =
      name === controllers
        ? controllers.split(',').map((one) => [one, true])
        : [
            ['none', true],
            ['name', name],
          ];
    attachAt(makeMount('cgroup', parameters, QUIET, 'cgroup'), at);
  }
}
