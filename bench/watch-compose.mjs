// `docker compose watch` on a load of watch-loads.mjs, for comparison.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import readline from 'node:readline';
import { setTimeout } from 'node:timers/promises';

/** Milliseconds that compose has to end. */
const GRACE = 15_000;

/**
 * Starts it; resolves when it watches. ACTION: `sync`, `rebuild`.
 * `seen(text)` resolves when a container shows TEXT, `settled` when what a save made it do is over; both reject, with what it said, where
 * it has ended.
 */
export async function startCompose({ root, file, own }, name, action, seen, dir) {
  const project = `benchwatch${name}`;
  const yaml = path.join(dir, `${name}.compose.json`);
  const rule = { action, path: path.dirname(file), ...(action === 'sync' ? { target: path.posix.dirname(seen) } : {}) };
  const service = {
    build: { context: root, dockerfile: own },
    network_mode: 'host',
    init: true,
    develop: { watch: [rule] },
  };
  fs.writeFileSync(yaml, JSON.stringify({ name: project, services: { app: service } }));
  const down = () => spawnSync('docker', ['compose', '-f', yaml, 'down', '-t', '0'], { encoding: 'utf8' });
  down();
  const followers = [];
  const wanted = new Map();
  const label = `label=com.docker.compose.project=${project}`;
  const events = spawn('docker', ['events', '--filter', label, '--filter', 'event=start', '--format', '{{.ID}}'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  readline.createInterface({ input: events.stdout }).on('line', (id) => {
    const logs = spawn('docker', ['logs', '-f', id], { stdio: ['ignore', 'pipe', 'ignore'] });
    followers.push(logs);
    readline.createInterface({ input: logs.stdout }).on('line', (line) => {
      for (const [text, resolve] of wanted) if (line.includes(text)) (wanted.delete(text), resolve());
    });
  });
  const child = spawn('docker', ['compose', '-f', yaml, 'watch'], { stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  const listeners = new Set();
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      said = (said + text).slice(-4000);
      for (const one of listeners) one();
    });
  }
  const exited = once(child, 'exit').then(([code, signal]) => {
    throw new Error(`docker compose watch ended by itself (${signal ?? code}):\n${said}`);
  });
  exited.catch(() => undefined);
  /** Resolves when PATTERN was said after the last call. */
  const hears = async (pattern) => {
    await new Promise((resolve) => {
      const look = () => pattern.test(said) && (listeners.delete(look), resolve());
      listeners.add(look);
      look();
    });
    said = '';
  };
  const stop = async () => {
    exited.catch(() => undefined);
    // Not SIGKILL: the plugin behind it would go on, and keep the next one from starting.
    child.kill('SIGINT');
    const ended = child.exitCode !== null || child.signalCode !== null ? Promise.resolve() : once(child, 'exit');
    await Promise.race([ended, setTimeout(GRACE, undefined, { ref: false })]);
    for (const one of [events, ...followers]) one.kill('SIGKILL');
    down();
  };
  try {
    await Promise.race([hears(/watch enabled|watching/i), exited]);
    await setTimeout(2000);
    said = '';
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    seen: (text) => Promise.race([new Promise((resolve) => wanted.set(text, resolve)), exited]),
    settled: () => (action === 'rebuild' ? Promise.race([hears(/successfully built/), exited]) : Promise.resolve()),
    stop,
  };
}
