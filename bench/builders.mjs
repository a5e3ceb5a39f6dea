// The builders that are compared. Each: build(root, name) and push(root, target) as shell commands, and cold(): an empty cache, the
// base image there.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

const quoted = (text) => `'${text.replaceAll("'", `'\\''`)}'`;

function must(command, env = process.env) {
  const { status, stdout, stderr } = spawnSync('sh', ['-c', command], { env, encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command}: ${stderr || stdout}`);
  return stdout.trim();
}

/** Strake in a store of its own below DIR; `cold` removes from it all that came after the base image. */
export function strake({ cli, dir, base }) {
  const store = path.join(dir, 'store');
  const env = { ...process.env, STRAKE_ROOT: store };
  const command = `${quoted(process.execPath)} ${quoted(cli)}`;
  const parts = ['cache', 'contexts', 'refs', 'layers', 'snapshots', 'blobs/sha256'];
  const namesIn = (part) => (fs.existsSync(`${store}/${part}`) ? fs.readdirSync(`${store}/${part}`) : []);
  const removed = path.join(dir, 'removed');
  fs.mkdirSync(removed, { recursive: true });
  if (fs.existsSync(store)) fs.renameSync(store, `${fs.mkdtempSync(`${removed}/`)}/store`);
  // A step that reads the base and one that runs on it: pulled, imported, unpacked, as it is for the others.
  const prime = path.join(dir, 'prime');
  fs.mkdirSync(prime, { recursive: true });
  fs.writeFileSync(`${prime}/Dockerfile`, `FROM ${base}\nRUN true\n`);
  must(`${command} build --progress plain ${quoted(prime)}`, env);
  const kept = new Map(parts.map((part) => [part, new Set(part === 'cache' ? [] : namesIn(part))]));
  return {
    name: 'strake',
    version: must(`${command} version`).split('\n')[0],
    env,
    build: (root, name) => `${command} build -q -t ${name}:1 ${quoted(root)}`,
    push: (root, target) => `${command} build -q -t ${target} --push ${quoted(root)}`,
    // Moved aside and never removed: ext4 without a journal makes new files many times slower for minutes after thousands of
    // others were removed, which would measure the reset, also that of the run before. Remove the folder when done measuring.
    cold: () => {
      const aside = fs.mkdtempSync(`${removed}/`);
      for (const [part, names] of kept) {
        const to = `${aside}/${part.replace('/', '-')}`;
        fs.mkdirSync(to);
        for (const name of namesIn(part))
          if (!names.has(name)) fs.renameSync(`${store}/${part}/${name}`, `${to}/${name}`);
      }
    },
  };
}

/** Docker with BuildKit, at DOCKER_HOST; undefined where none answers. */
export function docker({ base }) {
  const { status, stdout } = spawnSync('docker', ['version', '-f', '{{.Server.Version}}'], { encoding: 'utf8' });
  if (status !== 0) return undefined;
  must(`docker image inspect ${base} >/dev/null 2>&1 || docker pull -q ${base}`);
  return {
    name: 'docker',
    version: `Docker ${stdout.trim()}`,
    env: process.env,
    build: (root, name) => `docker buildx build -q -t ${name}:1 ${quoted(root)}`,
    push: (root, target) => `docker buildx build -q -t ${target} ${quoted(root)} && docker push -q ${target}`,
    cold: () => must('docker builder prune -af'),
  };
}

/** buildah on PATH; undefined where there is none. */
export function buildah() {
  const { status, stdout } = spawnSync('buildah', ['--version'], { encoding: 'utf8' });
  if (status !== 0) return undefined;
  const command = 'buildah build --layers --network host --tls-verify=false -q';
  return {
    name: 'buildah',
    version: stdout.trim(),
    env: process.env,
    build: (root, name) => `${command} -t ${name}:1 ${quoted(root)}`,
    coldBuild: (root, name) => `${command} --no-cache -t ${name}:1 ${quoted(root)}`,
    cold: () => undefined,
  };
}

/**
 * No builder: the RUN steps of a Dockerfile one after the other by the OCI runtime that Strake takes too, on one overlay, nothing
 * kept of them. What steps take by themselves, which no builder can be faster than. Only for root, and Dockerfiles of RUN alone.
 */
export function plain({ cli, dir, base }) {
  const runtime = ociRuntime();
  if (runtime === undefined || process.getuid() !== 0) return undefined;
  const folder = fs.mkdtempSync(path.join(dir, 'plain-'));
  const at = (...names) => quoted(path.join(folder, ...names));
  fs.writeFileSync(`${folder}/Dockerfile`, `FROM ${base}\n`);
  const store = { ...process.env, STRAKE_ROOT: path.join(dir, 'plain-store') };
  const export_ = `build -q -o type=local,dest=${at('base')} -f ${at('Dockerfile')} ${at()}`;
  must(`${quoted(process.execPath)} ${quoted(cli)} ${export_}`, store);
  const stepsOf = (root) => {
    const [first, ...steps] = fs.readFileSync(`${root}/Dockerfile`, 'utf8').trim().split('\n');
    return first.startsWith('FROM ') && steps.every((step) => step.startsWith('RUN '))
      ? steps.map((step) => step.slice('RUN '.length))
      : undefined;
  };
  let runs = 0;
  return {
    name: 'plain',
    version: runtime[0],
    env: process.env,
    can: (root) => stepsOf(root) !== undefined,
    cold: () => undefined,
    build: (root) => {
      const run = `${++runs}`;
      const bundles = stepsOf(root).map((step, i) => {
        const bundle = path.join(folder, run, `step-${i}`);
        writeBundle(bundle, path.join(folder, run, 'root'), step, runtime[0]);
        return `${runtime.join(' ')} run --bundle ${quoted(bundle)} plain-$$-${i}`;
      });
      for (const name of ['root', 'upper', 'work']) fs.mkdirSync(path.join(folder, run, name));
      const overlay = `lowerdir=${folder}/base,upperdir=${folder}/${run}/upper,workdir=${folder}/${run}/work`;
      const script = [
        `set -e; ${COVER_CGROUPS}`,
        `mount -t overlay -o ${overlay} none ${at(run, 'root')}`,
        ...bundles,
      ].join('; ');
      return `unshare --mount sh -c ${quoted(script)}`;
    },
  };
}

/** As Strake covers cgroups: crun refuses machines with both versions of them, runc goes without where it may not write. */
export const COVER_CGROUPS = [
  'own=$(cut -d: -f2,3 /proc/self/cgroup | sed "s/^name=//;s,:,,")',
  'mount -t tmpfs none /sys/fs/cgroup',
  'for folder in $own; do mkdir -p /sys/fs/cgroup/$folder; done',
  'mount -o remount,ro /sys/fs/cgroup',
].join('; ');

/** The OCI runtime that Strake takes, too, and how it does. */
export function ociRuntime() {
  const known = [
    ['crun', '--cgroup-manager=disabled'],
    ['runc', '--rootless=true'],
  ];
  return known.find(([name]) => spawnSync(name, ['--version'], { stdio: 'ignore' }).status === 0);
}

/** An OCI bundle whose process is COMMAND in a shell, without limits and with the machine's network. */
export function writeBundle(bundle, root, command, program) {
  fs.mkdirSync(bundle, { recursive: true });
  must(`cd ${quoted(bundle)} && rm -f config.json && ${program} spec`);
  const config = JSON.parse(fs.readFileSync(`${bundle}/config.json`, 'utf8'));
  config.root = { path: root, readonly: false };
  config.process.args = ['sh', '-c', command];
  config.process.terminal = false;
  delete config.linux.resources;
  config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== 'network');
  fs.writeFileSync(`${bundle}/config.json`, JSON.stringify(config));
}
