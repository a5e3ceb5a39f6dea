import { callLibcLater } from './libc.js';

let collector: NodeJS.GCFunction | undefined;

async function loadCollector(): Promise<NodeJS.GCFunction> {
  const [v8, vm] = await Promise.all([import('node:v8'), import('node:vm')]);
  v8.setFlagsFromString('--expose-gc');
  const collect = vm.runInNewContext('gc') as NodeJS.GCFunction;
  v8.setFlagsFromString('--no-expose-gc');
  return collect;
}

/**
 * Gives memory back that this process has and does not use, for those that live for hours. V8 collects garbage when it needs room; this is
 * a full collection, by what `--expose-gc` gives (the inspector's protocol can do it, too, and was seen to lock up). The C library keeps
 * what it had to give out once: threads that come and go, and buffers of all sizes, leave its arenas full of holes, hundreds of megabytes
 * in an hour. malloc_trim(3), on another thread, gives them back; nothing where the library has no such call, as musl's.
 */
export async function giveBackMemory(): Promise<void> {
  collector ??= await loadCollector();
  collector();
  try {
    await callLibcLater('int malloc_trim(size_t pad)', 0);
  } catch {
    // It is only memory.
  }
}
