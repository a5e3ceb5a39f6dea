/** Runs containers where an agent process of a real build would: first process of a process namespace, with mounts of its own. */
import fs from 'node:fs';
import path from 'node:path';

import { StrakeError } from '@strake/core';

import {
  chooseExecutor,
  createChrootExecutor,
  createNativeExecutor,
  createOciExecutor,
  openCgroups,
  openDeviceGuard,
  probeRuntimes,
  type Capability,
  type ContainerSpec,
  type DeviceGuard,
  type Executor,
  type ExitStatus,
} from '../../src/index.js';

/** Changes to the lowest layer before a run: a folder (no content), a file, or a link. */
export interface Edit {
  readonly path: string;
  readonly link?: string;
  readonly content?: string;
  readonly folder?: boolean;
  readonly remove?: boolean;
  readonly mode?: number;
}

export interface RunRequest {
  readonly executor: string;
  readonly spec: Partial<ContainerSpec>;
  readonly edits?: readonly Edit[];
  /** Abort once the output contains this text. */
  readonly abortAt?: string;
  /** Abort after so many milliseconds. */
  readonly abortAfter?: number;
  /** Abort before anything starts. */
  readonly aborted?: boolean;
  /** Empty layers put below. */
  readonly moreLayers?: number;
  /** Do not report output, only its length. */
  readonly quiet?: boolean;
}

export interface UpperEntry {
  readonly type: 'file' | 'folder' | 'link' | 'device';
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly text?: string;
  readonly mtime: number;
}

export interface RunReply {
  readonly status?: ExitStatus;
  readonly error?: { readonly code: string; readonly message: string };
  readonly stdout: string;
  readonly stderr: string;
  readonly outputLength: number;
  readonly upper: Readonly<Record<string, UpperEntry>>;
  /** Mounts, processes, files and descriptors that were not there before. */
  readonly leftovers: readonly string[];
  readonly milliseconds: number;
}

const PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const [, , folder = '', ...executorNames] = process.argv;
const base = path.join(folder, 'base');
const scratch = path.join(folder, 'scratch');
let counter = 0;
const cgroups = openCgroups();
let guard: DeviceGuard | undefined;

function makeBase(): void {
  for (const name of ['bin', 'etc', 'tmp', 'root', 'proc', 'sys', 'dev', 'usr/bin']) {
    fs.mkdirSync(path.join(base, name), { recursive: true });
  }
  fs.chmodSync(path.join(base, 'tmp'), 0o1777);
  fs.chmodSync(base, 0o755);
  fs.copyFileSync('/bin/busybox', path.join(base, 'bin/busybox'));
  fs.chmodSync(path.join(base, 'bin/busybox'), 0o755);
  const applets =
    'sh true false cat ls grep sleep echo id stat test mount umount mknod touch rm mkdir rmdir awk df hostname ip env chmod ' +
    'chown kill setsid tr head wc tty nsenter chroot find ln sort cut tee readlink chattr seq yes dd ulimit';
  for (const applet of applets.split(' ')) fs.symlinkSync('busybox', path.join(base, 'bin', applet));
  fs.writeFileSync(path.join(base, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\n');
  fs.utimesSync(path.join(base, 'etc'), 1e9, 1e9);
}

function applyEdits(root: string, edits: readonly Edit[]): void {
  for (const edit of edits) {
    const file = path.join(root, edit.path);
    fs.mkdirSync(path.dirname(file), { recursive: true });
    if (edit.remove || edit.link !== undefined || edit.content !== undefined)
      fs.rmSync(file, { recursive: true, force: true });
    if (edit.link !== undefined) fs.symlinkSync(edit.link, file);
    else if (edit.content !== undefined) fs.writeFileSync(file, edit.content);
    else if (edit.folder) fs.mkdirSync(file, { recursive: true });
    if (edit.mode !== undefined) fs.chmodSync(file, edit.mode);
  }
}

function listUpper(root: string): Record<string, UpperEntry> {
  const found: Record<string, UpperEntry> = {};
  const visit = (at: string): void => {
    for (const name of fs.readdirSync(path.join(root, at)).sort()) {
      const relative = `${at}/${name}`;
      const file = path.join(root, relative);
      const facts = fs.lstatSync(file);
      const type = facts.isDirectory()
        ? 'folder'
        : facts.isFile()
          ? 'file'
          : facts.isSymbolicLink()
            ? 'link'
            : 'device';
      const text = type === 'file' && facts.size < 65536 ? fs.readFileSync(file, 'utf8') : undefined;
      const entry = {
        type,
        mode: facts.mode & 0o7777,
        uid: facts.uid,
        gid: facts.gid,
        mtime: Math.floor(facts.mtimeMs / 1000),
      } as const;
      found[relative] = text === undefined ? entry : { ...entry, text };
      if (type === 'folder') visit(relative);
    }
  };
  visit('');
  return found;
}

/** What differs; what is gone counts as a device, as overlays have it. */
function changes(before: RunReply['upper'], after: RunReply['upper']): RunReply['upper'] {
  const gone = { type: 'device', mode: 0, uid: 0, gid: 0, mtime: 0 } as const;
  const missing = Object.keys(before).filter((name) => after[name] === undefined);
  const changed = Object.entries(after).filter(
    ([name, entry]) => JSON.stringify(entry) !== JSON.stringify(before[name]),
  );
  return Object.fromEntries<UpperEntry>([...missing.map((name) => [name, gone] as const), ...changed]);
}

/** The parent of a process; undefined where it is gone. Without a process namespace only children count, and orphans are children. */
function parentOf(pid: string): string | undefined {
  try {
    const text = fs.readFileSync(`/proc/${pid}/stat`, 'latin1');
    return text.slice(text.lastIndexOf(')') + 2).split(' ')[1];
  } catch {
    return undefined;
  }
}

function hasEnded(pid: string): boolean {
  try {
    return /\) Z [^)]*$/.test(fs.readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return true;
  }
}

/** What a run must not leave behind. Descriptors are counted by what they refer to. */
function inventory(): string[] {
  const mounts = fs
    .readFileSync('/proc/self/mountinfo', 'utf8')
    .trim()
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    // Without a mount namespace others mount too.
    .filter((point) => process.pid === 1 || point.startsWith(folder))
    .map((point) => `mount ${point}`);
  const processes = fs
    .readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && (process.pid === 1 || parentOf(name) === String(process.pid)))
    // The engine's agent buries those that have ended (see `Orphans`).
    .filter((pid) => !hasEnded(pid))
    .map((pid) => `process ${pid}`);
  const files = fs.existsSync(scratch) ? fs.readdirSync(scratch).map((name) => `file ${name}`) : [];
  const descriptors = fs.readdirSync('/proc/self/fd').map((fd) => `descriptor ${fd}`);
  return [...mounts, ...processes, ...files, ...descriptors.slice(0, -1)];
}

/** Whether a guard holds, from now on. */
async function guarded(): Promise<boolean> {
  guard ??= openDeviceGuard({ folder: cgroups, name: path.basename(folder) });
  return guard.holds;
}

async function run(executor: Executor, request: RunRequest): Promise<RunReply> {
  const own = path.join(folder, `c${counter++}`);
  const lower = path.join(own, 'lower');
  for (const name of ['lower', 'upper', 'work', 'layers']) fs.mkdirSync(path.join(own, name), { recursive: true });
  const layers: string[] = [];
  for (let i = 0; i < (request.moreLayers ?? 0); i++) {
    const layer = path.join(own, 'layers', `a-layer-with-quite-a-long-name-${i}`);
    fs.mkdirSync(layer);
    fs.writeFileSync(path.join(layer, `layer-${i}`), '');
    layers.push(layer);
  }
  const removed = (request.edits ?? []).filter((edit) => edit.remove);
  if (removed.length > 0 || request.edits?.some((e) => e.link !== undefined))
    fs.cpSync(base, lower, { recursive: true, verbatimSymlinks: true });
  applyEdits(lower, request.edits ?? []);
  const controller = new AbortController();
  const out = { stdout: [] as Uint8Array[], stderr: [] as Uint8Array[] };
  let seen = '';
  let outputLength = 0;
  const deviceNodes = request.spec.deviceNodes && (await guarded());
  const before = new Set(inventory());
  const tree = path.join(own, 'tree');
  if (executor.name === 'chroot') {
    fs.cpSync(base, tree, { recursive: true, verbatimSymlinks: true, preserveTimestamps: true });
    applyEdits(tree, request.edits ?? []);
    if (fs.existsSync(path.join(tree, 'etc'))) fs.utimesSync(path.join(tree, 'etc'), 1e9, 1e9);
  }
  const untouched = executor.name === 'chroot' ? listUpper(tree) : {};
  const spec: ContainerSpec = {
    root:
      executor.name === 'chroot'
        ? { kind: 'bind', source: tree, readOnly: false }
        : {
            kind: 'overlay',
            lower: removed.length > 0 ? [lower, ...layers] : [lower, base, ...layers],
            upper: path.join(own, 'upper'),
            work: path.join(own, 'work'),
            options: process.env['USER_XATTR'] ? ['userxattr'] : [],
          },
    args: ['/bin/true'],
    env: [PATH],
    cwd: '/',
    user: { uid: 0, gid: 0, additionalGids: [] },
    hostname: 'buildkitsandbox',
    mounts: [],
    network: 'host',
    security: 'sandbox',
    extraHosts: [],
    ulimits: [],
    shmSize: 64 << 20,
    stdin: 'none',
    ...request.spec,
    deviceNodes,
  };
  const started = performance.now();
  let status: ExitStatus | undefined;
  let error: RunReply['error'];
  try {
    if (request.aborted) controller.abort();
    if (request.abortAfter !== undefined) setTimeout(() => controller.abort(), request.abortAfter);
    status = await executor.run(spec, {
      signal: controller.signal,
      onOutput: (stream, data) => {
        outputLength += data.length;
        if (request.quiet) return;
        out[stream].push(data);
        seen += Buffer.from(data).toString();
        if (request.abortAt !== undefined && seen.includes(request.abortAt)) controller.abort();
      },
    });
  } catch (thrown) {
    if (thrown instanceof StrakeError) error = { code: thrown.code, message: thrown.message };
    else error = { code: 'NOT A STRAKE ERROR', message: String(thrown instanceof Error ? thrown.stack : thrown) };
  }
  const milliseconds = performance.now() - started;
  // The executor makes a few things at its first run and keeps them: the view of cgroups.
  const leftovers = inventory().filter((item) => !before.has(item) && !item.startsWith('mount /sys/fs/cgroup'));
  const reply: RunReply = {
    ...(status ? { status } : {}),
    ...(error ? { error } : {}),
    stdout: Buffer.concat(out.stdout).toString(),
    stderr: Buffer.concat(out.stderr).toString(),
    outputLength,
    upper: executor.name === 'chroot' ? changes(untouched, listUpper(tree)) : listUpper(path.join(own, 'upper')),
    leftovers,
    milliseconds,
  };
  fs.rmSync(own, { recursive: true, force: true });
  return reply;
}

/** Asks for what works here; PATH_HERE replaces PATH. */
export interface ProbeRequest {
  readonly pathHere?: string;
  readonly isolation: 'auto' | 'oci' | 'native' | 'chroot';
  readonly remember?: boolean;
}

export interface ProbeReply {
  readonly probed: readonly Capability[];
  readonly runtime?: string;
  readonly reason?: string;
  readonly error?: { readonly code: string; readonly message: string };
  readonly leftovers: readonly string[];
}

async function probe(request: ProbeRequest): Promise<ProbeReply> {
  const before = new Set(inventory());
  const options = {
    env: { PATH: request.pathHere ?? process.env['PATH'] },
    scratch,
    ...(request.remember ? { cacheFile: path.join(folder, 'cache/probes.json') } : {}),
  };
  const probed = (await probeRuntimes(options)).map((p) => p.capability);
  const leftovers = inventory().filter((item) => !before.has(item) && !item.startsWith('mount /sys/fs/cgroup'));
  try {
    const { runtime, reason } = await chooseExecutor({ ...options, isolation: request.isolation });
    return { probed, runtime, reason, leftovers };
  } catch (error) {
    if (!(error instanceof StrakeError)) throw error;
    return { probed, error: { code: error.code, message: error.message }, leftovers };
  }
}

/** runc, but nobody is ever told of the container's first process, as in the moments between its start and its file. */
function secretiveRunc(): string {
  const file = path.join(folder, 'secretive-runc');
  const script = `#!/bin/sh
renamed=
for word; do
  shift
  if [ -n "$renamed" ]; then word=$word.unread; fi
  renamed=
  if [ "$word" = --pid-file ]; then renamed=yes; fi
  set -- "$@" "$word"
done
exec /usr/sbin/runc "$@"
`;
  fs.writeFileSync(file, script, { mode: 0o755 });
  return file;
}

const binaries: Record<string, string> = { runc: '/usr/sbin/runc', crun: '/usr/bin/crun' };
const executors = new Map<string, Executor>();
for (const name of executorNames) {
  const binary = binaries[name];
  if (name === 'chroot') executors.set(name, createChrootExecutor({ scratch, warm: false }));
  if (name === 'native') executors.set(name, createNativeExecutor({ scratch, warm: false }));
  if (name === 'native-warm') executors.set(name, createNativeExecutor({ scratch }));
  if (name === 'secretive-runc')
    executors.set(name, createOciExecutor({ binary: secretiveRunc(), flavor: 'runc', scratch }));
  if (binary !== undefined) executors.set(name, createOciExecutor({ binary, scratch }));
}

makeBase();
async function answer(message: { request?: RunRequest; probe?: ProbeRequest }): Promise<object> {
  if (message.probe) return { reply: await probe(message.probe) };
  const executor = executors.get(message.request?.executor ?? '');
  if (!executor || !message.request) throw new Error(`no executor ${message.request?.executor}`);
  return { reply: await run(executor, message.request) };
}

process.on('message', (message: { id: number; request?: RunRequest; probe?: ProbeRequest }) => {
  void answer(message).then(
    (reply) => process.send?.({ id: message.id, ...reply }),
    (error: unknown) =>
      process.send?.({ id: message.id, failure: String(error instanceof Error ? error.stack : error) }),
  );
});
process.on('disconnect', () => process.exit(0));
process.send?.({ ready: true });
