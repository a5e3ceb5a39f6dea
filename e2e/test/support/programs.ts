import { execFile } from 'node:child_process';
import { accessSync, constants, existsSync } from 'node:fs';
import path from 'node:path';

/** Folders of programs; root's are not in everybody's PATH. */
const FOLDERS = [...(process.env['PATH'] ?? '').split(path.delimiter), '/usr/sbin', '/sbin'];

/** The file of a program, undefined where it is not installed. */
export function findProgram(name: string): string | undefined {
  return FOLDERS.map((folder) => path.join(folder, name)).find((file) => {
    try {
      accessSync(file, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** Runs a program to its end and gives what it printed; rejects with its standard error where it failed. */
export async function tool(
  program: string,
  argv: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { env: { ...process.env, ...env }, maxBuffer: 64 << 20 };
    execFile(findProgram(program) ?? program, argv, options, (error, stdout, stderr) => {
      if (error) reject(new Error(`${program} ${argv.join(' ')}: ${stderr || error.message}`));
      else resolve(stdout);
    });
  });
}

const SOCKETS = ['/var/run/docker.sock', '/var/tmp/peers/docker.sock'];

/** Where a Docker daemon listens, as DOCKER_HOST has it; undefined where there is none, or no client for it. */
export function dockerHost(): string | undefined {
  if (findProgram('docker') === undefined) return undefined;
  const socket = SOCKETS.find((file) => existsSync(file));
  return process.env['DOCKER_HOST'] ?? (socket && `unix://${socket}`);
}

/** Runs `docker ARGV...`. */
export async function docker(...argv: string[]): Promise<string> {
  return tool('docker', argv, { DOCKER_HOST: dockerHost() ?? '' });
}

/** Runs `skopeo ARGV...` with a policy that takes every image. */
export async function skopeo(...argv: string[]): Promise<string> {
  return tool('skopeo', ['--insecure-policy', ...argv]);
}
