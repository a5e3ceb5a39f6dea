import fs from 'node:fs';

/**
 * Calls SILENT once the processes of GROUP have neither read a byte nor used processor time for LIMIT milliseconds: git waits for ever
 * for a server that says nothing, unless it speaks HTTP. ssh(1) does not count, as it goes on talking with a server of which the
 * program at the other end is silent. Returns what ends the watch.
 */
export function watchSilence(group: number, limit: number, silent: () => void): () => void {
  let last = '';
  let since = Date.now();
  const timer = setInterval(() => {
    const now = activity(group);
    if (now !== last || now === '') {
      last = now;
      since = Date.now();
    } else if (Date.now() - since >= limit) {
      clearInterval(timer);
      silent();
    }
  }, limit / 4);
  timer.unref();
  return () => clearInterval(timer);
}

/** What the processes of GROUP have done so far; empty where none can be seen. */
function activity(group: number): string {
  const seen: string[] = [];
  for (const pid of fs.readdirSync('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    try {
      const stat = fs.readFileSync(`/proc/${pid}/stat`, 'latin1');
      // The name stands in brackets, and may have brackets itself (proc_pid_stat(5)).
      const end = stat.lastIndexOf(')');
      const fields = stat.slice(end + 2).split(' ');
      if (Number(fields[2]) !== group || stat.slice(stat.indexOf('(') + 1, end) === 'ssh') continue;
      const read = /^rchar: (\d+)/.exec(fs.readFileSync(`/proc/${pid}/io`, 'latin1'))?.[1];
      seen.push([pid, read, fields[11], fields[12]].join(' '));
    } catch {
      // It has just ended: the next look sees one less.
    }
  }
  return seen.join('\n');
}
