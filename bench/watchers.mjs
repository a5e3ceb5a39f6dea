// What it costs to watch a folder with all below it: one watch a folder, as `strake watch` does, and with chokidar, which is no
// dependency: CHOKIDAR is the folder of an installed one. Processor time and memory more than before, each in a process of its own.
// usage: node bench/watchers.mjs FOLDER [CHOKIDAR]
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const [folder, chokidar, only] = process.argv.slice(2);

async function watchFolders() {
  const { FolderWatcher } = await import('../packages/engine/dist/src/watch/folder-watcher.js');
  const folders = new Set([folder]);
  for (const one of folders)
    for (const entry of fs.readdirSync(one, { withFileTypes: true }))
      if (entry.isDirectory()) folders.add(path.join(one, entry.name));
  const watcher = new FolderWatcher({ onChange: () => undefined, onOverflow: () => undefined });
  watcher.update(folders);
  return `${watcher.size} folders`;
}

async function watchAll() {
  const { main, exports: doors } = JSON.parse(fs.readFileSync(path.join(chokidar, 'package.json'), 'utf8'));
  const door = main ?? doors['.'].import.default ?? doors['.'].import;
  const { default: library, watch = library.watch } = await import(pathToFileURL(path.join(chokidar, door)).href);
  const watcher = watch(folder, { ignoreInitial: true });
  await new Promise((resolve) => watcher.on('ready', resolve));
  return `${Object.keys(watcher.getWatched()).length} folders`;
}

if (only) {
  const before = { cpu: process.cpuUsage(), memory: process.memoryUsage.rss() };
  const what = await (only === 'ours' ? watchFolders() : watchAll());
  const { user, system } = process.cpuUsage(before.cpu);
  const memory = (process.memoryUsage.rss() - before.memory) / 2 ** 20;
  process.stdout.write(`| ${only} | ${what} | ${((user + system) / 1e6).toFixed(2)} | ${memory.toFixed(0)} |\n`);
  process.exit();
}
process.stdout.write('| watcher | what | CPU s | MiB |\n| --- | --- | --- | --- |\n');
for (const one of chokidar ? ['ours', 'chokidar'] : ['ours']) {
  const argv = [fileURLToPath(import.meta.url), folder, chokidar ?? '', one];
  process.stdout.write(execFileSync(process.execPath, argv, { encoding: 'utf8' }));
}
