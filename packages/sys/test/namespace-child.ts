/** Uses what cannot be undone, in a process of its own; prints what came of it, as JSON. Run by namespace.test.ts. */
import fs from 'node:fs';
import path from 'node:path';

import * as sys from '../src/index.js';

const [, , what = '', folder = ''] = process.argv;
const isolate = (flags = 0): void => {
  sys.unshare(sys.NamespaceFlag.mount | flags);
  sys.mount('none', '/', null, sys.MountFlag.rec | sys.MountFlag.private, null);
};
const attach = (mount: number, at: string): void => {
  const target = fs.openSync(at, fs.constants.O_RDONLY);
  sys.attachMount(mount, target);
  fs.closeSync(target);
  sys.closeDescriptor(mount);
};
const attempt = (work: () => unknown): unknown => {
  try {
    return work() ?? 'done';
  } catch (error) {
    return error instanceof Error && 'code' in error ? error.code : String(error);
  }
};

const scenarios: Record<string, () => unknown> = {
  overlay: () => {
    isolate();
    const at = (name: string): string => path.join(folder, name);
    for (const name of ['a', 'b', 'upper', 'work', 'm', 'n']) fs.mkdirSync(at(name));
    fs.writeFileSync(at('a/f'), 'a');
    fs.writeFileSync(at('b/f'), 'b');
    fs.writeFileSync(at('b/g'), 'b');
    const parameters = [
      ['lowerdir+', at('a')],
      ['lowerdir+', at('b')],
      ['upperdir', at('upper')],
      ['workdir', at('work')],
    ] as const;
    attach(sys.makeMount('overlay', parameters, sys.MountAttribute.nodev), at('m'));
    fs.writeFileSync(at('m/new'), 'n');
    const clone = sys.cloneMount(at('m'));
    sys.setMountAttributes(clone, sys.MountAttribute.readonly);
    attach(clone, at('n'));
    const result = [
      fs.readFileSync(at('n/f'), 'utf8'),
      fs.readFileSync(at('n/g'), 'utf8'),
      fs.readdirSync(at('upper')),
    ];
    const readOnly = attempt(() => fs.writeFileSync(at('n/x'), ''));
    for (const name of ['n', 'm']) sys.unmount(at(name), sys.UnmountFlag.detach);
    return [...result, readOnly, fs.readdirSync(at('m'))];
  },
  failure: () => attempt(() => sys.makeMount('overlay', [['lowerdir+', '/nowhere/at/all']])),
  names: () => {
    sys.unshare(sys.NamespaceFlag.uts | sys.NamespaceFlag.network);
    sys.setHostname('of-its-own');
    sys.enableLoopback();
    const loopback = fs.readFileSync('/proc/self/net/dev', 'utf8').includes('lo:');
    return [fs.readFileSync('/proc/sys/kernel/hostname', 'utf8').trim(), loopback];
  },
  pivot: () => {
    isolate();
    attach(sys.makeMount('tmpfs', [['size', '1m']]), folder);
    process.chdir(folder);
    sys.pivotRoot('.', '.');
    sys.unmount('.', sys.UnmountFlag.detach);
    process.chdir('/');
    fs.writeFileSync('/only', '');
    return fs.readdirSync('/');
  },
  root: () => {
    fs.writeFileSync(path.join(folder, 'only'), '');
    sys.changeRoot(folder);
    process.chdir('/');
    return fs.readdirSync('/..');
  },
  identity: () => {
    sys.limitCapabilities(1n);
    sys.setIdentity(1234, 5678, [7, 9]);
    const status = fs.readFileSync('/proc/thread-self/status', 'utf8');
    return ['Uid', 'Gid', 'Groups', 'CapEff', 'CapBnd'].map(
      (name) => new RegExp(`^${name}:\\s*(.*?)\\s*$`, 'm').exec(status)?.[1],
    );
  },
  capabilities: () => {
    sys.setCapabilities(5n | (1n << 38n));
    const status = fs.readFileSync('/proc/thread-self/status', 'utf8');
    return ['CapEff', 'CapPrm', 'CapInh'].map((name) => new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(status)?.[1]);
  },
  filter: () => {
    // All calls are allowed but sethostname, which gives EPERM: load the number, compare, return.
    const number = process.arch === 'arm64' ? 161 : 170;
    const program = [
      [0x20, 0, 0, 0],
      [0x15, 0, 1, number],
      [0x06, 0, 0, 0x00050001],
      [0x06, 0, 0, 0x7fff0000],
    ].map(([code = 0, yes = 0, no = 0, value = 0]) => {
      const instruction = Buffer.alloc(8);
      instruction.writeUInt16LE(code, 0);
      instruction.set([yes, no], 2);
      instruction.writeUInt32LE(value, 4);
      return instruction;
    });
    sys.unshare(sys.NamespaceFlag.uts);
    const before = attempt(() => sys.setHostname('before'));
    sys.filterSystemCalls(Buffer.concat(program));
    return [before, attempt(() => sys.setHostname('after'))];
  },
  exec: () => {
    fs.openSync('/', fs.constants.O_RDONLY);
    sys.setResourceLimit('RLIMIT_NOFILE', 50n, 60n);
    sys.prepareForExec();
    const script =
      'echo "[\\"$A\\",\\"$0\\",\\"$(ulimit -n)\\",\\"$(ls /proc/self/fd | wc -l)\\",\\"$(grep SigIgn /proc/self/status | cut -f 2)\\"]"';
    return sys.execute('/bin/sh', ['name', '-c', script, 'zero'], ['A=b c', 'PATH=/usr/bin:/bin']);
  },
  'exec-failure': () => attempt(() => sys.execute('/nowhere/at/all', ['x'], [])),
};

const scenario = scenarios[what];
if (!scenario) throw new Error(`no scenario ${what}`);
fs.writeSync(1, JSON.stringify(scenario()));
process.exit(0);
