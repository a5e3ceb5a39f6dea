import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';

function read(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return ''; // it has ended in the meantime
  }
}

/** Command lines of the processes whose arguments or environment have TEXT in them, other than this one. */
export function processesWith(text: string): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .flatMap((pid) => {
      const argv = read(`/proc/${pid}/cmdline`);
      const found = argv.includes(text) || read(`/proc/${pid}/environ`).includes(text);
      return found && argv !== '' ? [`${pid} ${argv.replaceAll('\0', ' ')}`] : [];
    });
}

/** Lines of any process's mount table that have TEXT in them. */
export function mountsWith(text: string): string[] {
  const seen = new Set<string>();
  for (const pid of readdirSync('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    for (const line of read(`/proc/${pid}/mountinfo`).split('\n')) if (line.includes(text)) seen.add(line);
  }
  return [...seen];
}

/** Asks again until nothing is found; gives what is still there after TIMEOUT milliseconds. The kernel ends processes in its own time. */
export async function gone(find: () => string[], timeout: number = 5000): Promise<string[]> {
  const end = Date.now() + timeout;
  for (;;) {
    const found = find();
    if (found.length === 0 || Date.now() > end) return found;
    await pause(5);
  }
}
