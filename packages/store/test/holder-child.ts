import { createSnapshotter, openStore } from '../src/index.js';

/** Run by the tests as a process of its own: `node holder-child.js ROOT WHAT`. */
const [root = '', what = ''] = process.argv.slice(2);
const store = await openStore({ root });
const entries = Array.from({ length: 40 }, (_, i) => {
  const bytes = Buffer.from(`${what} ${i}`);
  const facts = { type: 'file', mode: 0o644, uid: 0, gid: 0, mtime: 1 } as const;
  return { ...facts, path: `f${i}`, size: bytes.length, content: { kind: 'bytes', bytes } } as const;
});
if (what === 'count') {
  // Adds one to a number in a file, which is wrong where two do so at once.
  const { readFileSync, writeFileSync } = await import('node:fs');
  for (let i = 0; i < 20; i++) {
    const lock = await store.lock('counter');
    const number = Number(readFileSync(`${root}/counter`, 'utf8'));
    await new Promise(setImmediate);
    writeFileSync(`${root}/counter`, String(number + 1));
    await lock.release();
  }
} else if (what === 'hang') {
  await store.temporary('left');
  await store.lease(['sha256:held']);
  await store.lock('held');
  await createSnapshotter({ store, kind: 'overlay', userNamespace: false }).prepare([]);
  process.stdout.write('ready\n');
  await new Promise((resolve) => setTimeout(resolve, 60_000));
} else {
  for (let i = 0; i < 5; i++) {
    const { diffId } = await store.layers.write(entries);
    await store.layers.compress(diffId, 'gzip');
    await store.references.set(`docker.io/library/${what}:${i}`, { mediaType: 'x', digest: diffId, size: 1 });
    await store.references.set('docker.io/library/all:latest', { mediaType: 'x', digest: diffId, size: 1 });
    process.stdout.write(`${diffId}\n`);
  }
}
await store.close();
