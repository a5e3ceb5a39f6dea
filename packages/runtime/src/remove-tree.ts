import fs from 'node:fs';

/**
 * Removes a folder with all that is in it, however deep: what a step has made may be nested deeper than any path can be long.
 * Folders are moved to the top before they are emptied, so that no path gets longer than two names. Links are not followed.
 */
export function removeTree(top: string): void {
  let moved = 0;
  const pending = [top];
  for (let folder = pending.pop(); folder !== undefined; folder = pending.pop()) {
    const rest: string[] = [];
    for (const entry of fs.readdirSync(folder, { withFileTypes: true, encoding: 'buffer' })) {
      const at = Buffer.concat([Buffer.from(`${folder}/`), entry.name]);
      if (!entry.isDirectory()) {
        fs.unlinkSync(at);
        continue;
      }
      const to = `${top}-${moved++}`;
      fs.renameSync(at, to);
      rest.push(to);
    }
    fs.rmdirSync(folder);
    pending.push(...rest);
  }
}
