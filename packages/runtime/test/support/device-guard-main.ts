// Opens a guard of the hierarchy of the version in the arguments, tries devices in it and out of it, and prints what came of it.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

import { closeDescriptor, FileType, makeNode } from '@strake/sys';

import { cgroupFiles } from '../../src/cgroup-places.js';
import { joinCgroups } from '../../src/cgroup-join.js';
import { openCgroups, openDeviceGuard } from '../../src/index.js';
import { memoryMount } from '../../src/mount-points.js';

const [, , version = '', name = '', beside] = process.argv;
const folder = openCgroups();
if (folder === undefined) throw new Error('there are no cgroups');
const all = cgroupFiles(folder);
const kind = version === '1' ? ' - cgroup ' : ' - cgroup2 ';
const mountinfo = all.mountinfo
  .split('\n')
  .filter((line) => line.includes(kind))
  .join('\n');
const guard = openDeviceGuard({ folder, name, files: { ...all, mountinfo } });
const holds = await guard.holds;

const memory = memoryMount('0700', 1 << 16, 0);
const nodes = { null: [1, 3], console: [5, 1], kmsg: [1, 11], tun: [10, 200], disk: [7, 200] } as const;
for (const [node, [major, minor]] of Object.entries(nodes))
  makeNode(`/proc/self/fd/${memory}/${node}`, (node === 'disk' ? FileType.block : FileType.char) | 0o600, major, minor);

/** What opening each says to a child that LAUNCHER begins. */
function tried(launcher: readonly string[]): string {
  const script =
    'for n in null console kmsg tun disk; do (: < "$0/$n") 2> /dev/null && echo "$n"; done; cut -d : -f 3 /proc/self/cgroup';
  const [file, ...args] = [...launcher, 'sh', '-c', script, `/proc/${process.pid}/fd/${memory}`];
  const { stdout } = spawnSync(file, args, { encoding: 'utf8' });
  return stdout
    .split('\n')
    .filter((line) => !line.startsWith('/'))
    .join(' ')
    .trim();
}

const inside = tried([]);
const left = guard.leave();
const outside = tried(left?.launcher ?? []);
// What an insecure step makes in its cgroups goes with them.
const own = (left?.launcher ?? []).filter((word) => path.basename(word).startsWith('strake-insecure-'));
for (const made of own) fs.mkdirSync(path.join(made, 'of-the-step/below'), { recursive: true });
left?.remove();
const stays = own.length === 0 || own.some((made) => fs.existsSync(made));
let extended: string | undefined;
if (beside !== undefined) {
  const made = path.join(all.folder, beside);
  fs.mkdirSync(made);
  guard.extend({ version: 2, folder: made });
  extended = tried(joinCgroups([made]));
  fs.rmdirSync(made);
}
closeDescriptor(memory);
process.stdout.write(JSON.stringify({ holds, inside, outside, extended, stays }));
