// An empty registry on loopback, for pushes.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** Starts docker-registry on a free port with its files below DIR; undefined where there is none of PROGRAMS. */
export async function startRegistry(dir, programs) {
  const program = programs.find((file) => fs.existsSync(file));
  if (program === undefined) return undefined;
  const port = await freePort();
  const files = path.join(dir, 'registry');
  fs.rmSync(files, { recursive: true, force: true });
  fs.mkdirSync(files, { recursive: true });
  const config = path.join(dir, 'registry.yml');
  fs.writeFileSync(
    config,
    `version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: ${files}}}\nhttp: {addr: "127.0.0.1:${port}"}\n`,
  );
  const child = spawn(program, ['serve', config], { stdio: 'ignore' });
  const host = `127.0.0.1:${port}`;
  for (let turn = 0; ; turn++) {
    const answer = await fetch(`http://${host}/v2/`).catch(() => undefined);
    if (answer?.ok) break;
    if (turn === 100) throw new Error(`${program} does not answer`);
    await sleep(50);
  }
  return {
    host,
    stop: async () => {
      const ended = new Promise((resolve) => child.on('exit', resolve));
      child.kill();
      await ended;
      fs.rmSync(files, { recursive: true, force: true });
    },
  };
}

function freePort() {
  return new Promise((resolve, reject) => {
    const server = net.createServer();
    server.on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}
