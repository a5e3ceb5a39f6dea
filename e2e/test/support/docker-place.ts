import { spawnSync } from 'node:child_process';
import { copyFileSync, cpSync, existsSync, linkSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { dockerHost, findProgram } from './programs.js';
import { ROOT } from './repository.js';

/** Images with a C library that Node runs on; the first that the daemon has is taken, none is fetched. */
const IMAGES = ['localhost:5000/library/debian:bookworm', 'debian:bookworm', 'debian:bookworm-slim'];
/** What tsc leaves beside the bundles that are installed. */
const NOT_INSTALLED = ['src', 'test', '.tsbuildinfo'];

/** A Docker daemon with an image to start containers of, and a folder that both it and this process see. */
export interface DockerPlace {
  readonly image: string;
  /** The folder here, and what the daemon calls it: it may live on a root of its own. */
  readonly folder: string;
  readonly daemonFolder: string;
}

function docker(...argv: readonly string[]): { readonly ok: boolean; readonly output: string } {
  const env = { ...process.env, DOCKER_HOST: dockerHost() ?? '' };
  const { status, stdout, stderr } = spawnSync(findProgram('docker') ?? 'docker', argv, { env, encoding: 'utf8' });
  return { ok: status === 0, output: `${stdout}${stderr}`.trim() };
}

/** Finds a daemon whose containers can be used, or says what is missing. */
export function findDockerPlace(): DockerPlace | string {
  const host = dockerHost();
  if (host === undefined || !docker('version').ok) return 'no Docker daemon answers';
  const image = IMAGES.find((name) => docker('image', 'inspect', name).ok);
  if (image === undefined) return `Docker has none of ${IMAGES.join(', ')}`;
  const beside = path.dirname(host.replace(/^unix:\/\//, ''));
  const candidates = [
    [tmpdir(), tmpdir()],
    [beside, beside],
    [beside, path.join('/mnt', path.basename(beside))],
  ] as const;
  for (const [here, there] of candidates) {
    if (!path.isAbsolute(here) || !existsSync(here)) continue;
    const folder = mkdtempSync(path.join(here, 'strake-matrix-'));
    const daemonFolder = path.join(there, path.basename(folder));
    writeFileSync(path.join(folder, 'marker'), '');
    const mounted = ['--mount', `type=bind,src=${daemonFolder},dst=/seen`];
    if (docker('run', '--rm', '--network', 'host', ...mounted, image, 'test', '-e', '/seen/marker').ok) {
      return { image, folder, daemonFolder };
    }
    rmSync(folder, { recursive: true });
  }
  return 'there is no folder that both Docker and this test see';
}

/** Puts Node and what the published package has into the shared folder; the command in there. */
export function installInPlace({ folder }: DockerPlace): readonly string[] {
  const node = path.join(folder, 'node');
  const program = path.join(folder, 'strake/bin/strake.js');
  if (existsSync(program)) return [node, program];
  try {
    linkSync(process.execPath, node);
  } catch {
    copyFileSync(process.execPath, node); // another file system
  }
  const cli = path.join(ROOT, 'packages/cli');
  cpSync(path.join(cli, 'bin'), path.join(folder, 'strake/bin'), { recursive: true });
  const dist = path.join(cli, 'dist');
  const filter = (file: string): boolean => !NOT_INSTALLED.includes(path.relative(dist, file));
  cpSync(dist, path.join(folder, 'strake/dist'), { recursive: true, filter });
  for (const name of ['koffi', '@koromix']) {
    const from = path.join(ROOT, 'node_modules', name);
    const to = path.join(folder, 'strake/node_modules', name);
    if (existsSync(from)) cpSync(from, to, { recursive: true, dereference: true });
  }
  return [node, program];
}

/**
 * Starts a container with nothing allowed to it but what Docker allows by default, and the shared folder at its own path. The name
 * by which `docker exec` finds it.
 */
export function startContainer(place: DockerPlace, options: readonly string[]): string {
  const name = `strake-matrix-${process.pid}-${path.basename(place.folder).slice(-6)}-${++count}`;
  const mount = ['--mount', `type=bind,src=${place.daemonFolder},dst=${place.folder}`];
  const argv = ['run', '--detach', '--rm', '--init', '--network', 'host', '--name', name, ...mount, ...options];
  const { ok, output } = docker(...argv, place.image, 'sleep', 'infinity');
  if (!ok) throw new Error(`docker run: ${output}`);
  return name;
}

let count = 0;

export function removeContainer(name: string): void {
  docker('rm', '--force', name);
}
