import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

import { createStepLimiter, type StepLimiter } from '../src/step-limits.js';

describe('limits of steps', () => {
  let folder: string;
  beforeEach(() => {
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'strake-cgroups-'));
  });
  afterEach(() => fs.rmSync(folder, { recursive: true }));

  /** A limiter on a folder that has the files of a machine's cgroups, which the kernel would have made. */
  function machine(cgroup: string, mountinfo: string, files: Record<string, string> = {}): StepLimiter {
    for (const [name, text] of Object.entries(files)) {
      fs.mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
      fs.writeFileSync(path.join(folder, name), text);
    }
    return createStepLimiter({ folder, name: 'x', proc: { cgroup, mountinfo }, canBound: () => false });
  }
  const all = { memoryBytes: 1 << 26, cpus: 1.5, pids: 100 };
  const V2 = '30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n';
  const text = (file: string): string => fs.readFileSync(path.join(folder, file), 'utf8');
  const empty = (made: string): void => {
    for (const name of fs.readdirSync(path.join(folder, made))) fs.unlinkSync(path.join(folder, made, name));
  };

  it('are files of version 2, beside the own cgroup where that was delegated', () => {
    const controllers = { 'user/cgroup.subtree_control': 'cpu memory pids\n', 'user/me.scope/cgroup.procs': '' };
    const made = machine('0::/user/me.scope\n', V2, controllers).create(all);
    assert.deepEqual(made.missing, []);
    const at = 'user/strake-step-x-1';
    assert.deepEqual(
      ['memory.max', 'cpu.max', 'pids.max'].map((file) => text(`${at}/${file}`)),
      ['67108864', '150000 100000', '116'],
    );
    assert.deepEqual(made.launcher.slice(-2), [path.join(folder, at), '--']);
    assert.equal(made.exceeded(), undefined);
    fs.writeFileSync(path.join(folder, at, 'memory.events'), 'low 0\noom_kill 2\n');
    assert.equal(made.exceeded(), 'memory');
    empty(at);
    made.remove();
    assert.equal(fs.existsSync(path.join(folder, at)), false);
  });

  it('are files of version 1, below the own cgroups, also in a hybrid', () => {
    const lines = ['memory,x', 'cpu,cpuacct', 'pids'].map(
      (names, i) => `${i} 3 0:1 /docker/me /sys/fs/cgroup/${names.split(',')[0]} rw - cgroup cgroup rw,${names}`,
    );
    const own = '3:memory,x:/docker/me/a\n2:cpu,cpuacct:/docker/me\n1:pids:/docker/me\n0::/docker/me\n';
    const made = machine(own, [...lines, V2.replace('/cgroup rw', '/cgroup/unified rw')].join('\n'), {
      'memory/a/cgroup.procs': '',
      'cpu/cgroup.procs': '',
      'pids/cgroup.procs': '',
      'unified/cgroup.controllers': '',
    }).create(all);
    assert.deepEqual(made.missing, []);
    assert.equal(text('memory/a/strake-step-x-1/memory.limit_in_bytes'), '67108864');
    assert.equal(text('cpu/strake-step-x-1/cpu.cfs_quota_us'), '150000');
    assert.equal(text('pids/strake-step-x-1/pids.max'), '116');
  });

  it('are missing where the machine has no cgroups, or none for us', () => {
    const none = machine('0::/\n', '').create(all);
    assert.deepEqual([none.missing, none.launcher], [['memoryBytes', 'cpus', 'pids'], []]);
    const partial = machine('0::/a/b\n', V2, { 'a/cgroup.subtree_control': 'pids\n', 'a/b/cgroup.procs': '' });
    assert.deepEqual(partial.create(all).missing, ['memoryBytes', 'cpus']);
    assert.deepEqual(
      createStepLimiter({ folder: undefined, name: 'x', canBound: () => false }).create({ pids: 1 }).missing,
      ['pids'],
    );
  });

  it('are told when they are made, and missing where whoever is told throws', () => {
    const files = { 'cgroup.subtree_control': 'cpu memory pids\n', 'me/cgroup.procs': '' };
    const told: unknown[] = [];
    const made = machine('0::/me\n', V2, files).create(all, (one) => told.push(one));
    assert.deepEqual([made.missing, told], [[], [{ version: 2, folder: path.join(folder, 'strake-step-x-1') }]]);
    fs.rmSync(path.join(folder, 'strake-step-x-1'), { recursive: true });
    const refused = machine('0::/me\n', V2, files).create(all, () => assert.fail());
    assert.deepEqual([refused.missing.length, refused.launcher], [3, []]);
    assert.equal(fs.existsSync(path.join(folder, 'strake-step-x-1')), false);
  });

  it('of processes are those of a user namespace where there are no cgroups, tried once', () => {
    let tried = 0;
    const limiter = createStepLimiter({ folder: undefined, name: 'x', canBound: () => ++tried > 0 });
    const { missing, launcher } = [limiter.create(all), limiter.create(all)][1] ?? assert.fail();
    assert.deepEqual([missing, tried], [['memoryBytes', 'cpus'], 1]);
    assert.ok(launcher.includes('116'), launcher.join(' '));
  });

  it('of a builder that was killed are removed by the next one', () => {
    const files = { 'cgroup.subtree_control': 'pids\n', 'me/cgroup.procs': '' };
    const left = path.join(folder, 'strake-step-gone-1');
    const young = path.join(folder, 'strake-step-now-1');
    for (const made of [left, young]) fs.mkdirSync(made);
    fs.utimesSync(left, 1, 1);
    machine('0::/me\n', V2, files).create({ pids: 1 });
    assert.deepEqual([fs.existsSync(left), fs.existsSync(young)], [false, true]);
  });
});
