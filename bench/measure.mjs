// Running commands: how long they take, and how much memory their processes need.
import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { performance } from 'node:perf_hooks';
import { clearInterval, setInterval } from 'node:timers';

/** How often memory is looked at; milliseconds. */
const PERIOD = 20;

/** Seconds that a shell command takes. */
export function time(command, env) {
  return new Promise((resolve, reject) => {
    const begun = performance.now();
    const child = spawn('sh', ['-c', `exec ${command}`.replace(/^exec (.* && )/s, '$1')], {
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let said = '';
    child.stdout.on('data', (text) => (said = (said + text).slice(-2000)));
    child.stderr.on('data', (text) => (said = (said + text).slice(-2000)));
    child.on('error', reject);
    child.on('close', (code) => {
      const seconds = (performance.now() - begun) / 1000;
      if (code === 0) resolve(seconds);
      else reject(new Error(`${command} ended with ${code}: ${said}`));
    });
  });
}

/** Seconds that a command takes, and of the processors, user and system, together with all that it waits for. */
export function cost(command, env) {
  const script = 'TIMEFORMAT="%R %U %S"; time "$@" >/dev/null';
  const { status, stderr } = spawnSync('bash', ['-c', script, 'bash', ...command], {
    env: { ...env, LC_ALL: 'C' },
    encoding: 'utf8',
  });
  const [, wall, user, system] = /(?:^|\n)([\d.]+) ([\d.]+) ([\d.]+)\s*$/.exec(stderr) ?? [];
  if (status !== 0 || wall === undefined) throw new Error(`${command.join(' ')} failed: ${stderr}`);
  return { wall: Number(wall), cpu: Number(user) + Number(system) };
}

/** MiB that the processes of a command and of its children need at most: their proportional shares, added up. */
export async function peakMemory(command, env) {
  const child = spawn('sh', ['-c', `exec ${command}`], { env, stdio: 'ignore' });
  const ended = new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code) => (code === 0 ? resolve() : reject(new Error(`${command} ended with ${code}`))));
  });
  let peak = 0;
  const timer = setInterval(() => (peak = Math.max(peak, treeMemory(child.pid))), PERIOD);
  try {
    await ended;
  } finally {
    clearInterval(timer);
  }
  return peak / 1024;
}

/** KiB of a process and all below it. What a step itself runs is not the builder's: it is below an OCI runtime or an init. */
export function treeMemory(pid) {
  let sum = 0;
  try {
    const rollup = fs.readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1');
    sum += Number(/^Pss:\s+(\d+)/m.exec(rollup)?.[1] ?? 0);
    for (const task of fs.readdirSync(`/proc/${pid}/task`)) {
      const children = fs.readFileSync(`/proc/${pid}/task/${task}/children`, 'latin1').trim();
      if (children !== '') for (const one of children.split(' ')) sum += treeMemory(Number(one));
    }
  } catch {
    return sum; // it has just ended
  }
  return sum;
}

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
