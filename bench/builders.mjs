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
