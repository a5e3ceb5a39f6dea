import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { placeForDevices } from '../src/cgroup-places.js';
import { openDeviceGuard, removeDeviceGuards } from '../src/index.js';

const PROGRAM = fileURLToPath(new URL('support/device-guard-main.js', import.meta.url));
const V2 = '30 23 0:26 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n';
const V1 = '31 23 0:27 / /sys/fs/cgroup/devices rw - cgroup cgroup rw,devices\n';

/** Where a hierarchy is mounted on this machine, if this process may make cgroups in it. */
function mounted(type: 'cgroup' | 'cgroup2'): string | undefined {
  const line = fs
    .readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .find((one) => one.includes(` - ${type} `) && (type === 'cgroup2' || /[ ,]devices(,|$)/.test(one)));
  const point = line?.split(' ')[4];
  if (point === undefined || process.getuid?.() !== 0) return undefined;
  try {
    fs.accessSync(point, fs.constants.W_OK);
    return point;
  } catch {
    return undefined;
  }
}

function guardsIn(point: string): string[] {
  return fs
    .readdirSync(point, { recursive: true, encoding: 'utf8' })
    .filter((name) => path.basename(name).startsWith('strake-devices-test'));
}

describe('the guard of devices', function () {
  this.timeout(60_000);

  const outcome = async (...argv: string[]): Promise<unknown> => {
    const { stdout } = await promisify(execFile)(process.execPath, [PROGRAM, ...argv]);
    return JSON.parse(stdout);
  };

  it('is a cgroup of version 1 that its builder removes', async function () {
    const point = mounted('cgroup');
    if (point === undefined) return this.skip();
    const name = `test-${process.pid}`;
    const { inside, outside, holds, stays } = (await outcome('1', name)) as Record<string, unknown>;
    assert.deepEqual([holds, stays], [true, false]);
    assert.match(String(inside), /^null( tun)?$/);
    assert.match(String(outside), /^null( console)? kmsg( tun)?( disk)?$/);
    removeDeviceGuards(name);
    assert.deepEqual(guardsIn(point), []);
  });

  it('is a filter of a cgroup of version 2, and of those that steps join beside it', async function () {
    const point = mounted('cgroup2');
    if (point === undefined) return this.skip();
    const name = `test-${process.pid}`;
    const beside = path.join(path.relative('/sys/fs/cgroup', point), `strake-step-${name}`);
    const { inside, outside, extended, holds, stays } = (await outcome('2', name, beside)) as Record<string, unknown>;
    for (const left of guardsIn(point)) fs.rmdirSync(path.join(point, left));
    assert.deepEqual([holds, stays], [true, false]);
    assert.match(String(inside), /^null( tun)?$/);
    assert.equal(extended, inside);
    assert.match(String(outside), /^null( console)? kmsg( tun)?( disk)?$/);
  });

  it('is none where there are no cgroups, or none for us', async () => {
    assert.equal(await openDeviceGuard({ folder: undefined, name: 'x' }).holds, false);
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'strake-guard-'));
    try {
      for (const mountinfo of ['', V1, V2])
        assert.equal(placeForDevices({ folder, cgroup: '0::/\n', mountinfo }), undefined);
    } finally {
      fs.rmSync(folder, { recursive: true });
    }
  });

  it('is made below the own cgroup, whose limits it keeps to', () => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'strake-guard-'));
    try {
      for (const made of ['devices/a/b', 'unified/c/d']) fs.mkdirSync(path.join(folder, made), { recursive: true });
      const cgroup = '5:devices:/a/b\n1:name=systemd:/\n0::/c/d\n';
      const made = (mountinfo: string): unknown => placeForDevices({ folder, cgroup, mountinfo });
      assert.deepEqual(made(V2 + V1), { version: 1, folder: path.join(folder, 'devices/a/b') });
      assert.deepEqual(made(V2), { version: 2, folder: path.join(folder, 'unified/c/d') });
    } finally {
      fs.rmSync(folder, { recursive: true });
    }
  });
});
