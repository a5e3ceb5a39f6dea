// Makes an OCI image layout of this machine's static busybox: a base image that needs no registry.
// usage: node scripts/busybox-layout.mjs FOLDER [BUSYBOX]   (default: the busybox of Debian's package busybox-static)
// The same program gives the same bytes. A layout that is there already is left alone.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import tar from 'tar-stream';

const [folder, given] = process.argv.slice(2);
if (folder === undefined) {
  console.error('usage: node scripts/busybox-layout.mjs FOLDER [BUSYBOX]');
  process.exit(2);
}
if (existsSync(path.join(folder, 'index.json'))) process.exit(0);
const program = given ?? ['/bin/busybox', '/usr/bin/busybox'].find((file) => existsSync(file));
if (program === undefined) {
  console.error('busybox is not there. (As root on Debian: apt-get install busybox-static)');
  process.exit(1);
}

const EPOCH = new Date(0);
const FOLDERS = { bin: 0o755, etc: 0o755, dev: 0o755, proc: 0o755, sys: 0o755, root: 0o700, home: 0o755, tmp: 0o1777 };
const FILES = {
  'etc/passwd': 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/home:/bin/false\n',
  'etc/group': 'root:x:0:\nnogroup:x:65534:\n',
  'etc/shadow': 'root:*:::::::\nnobody:*:::::::\n',
};

async function layer() {
  const pack = tar.pack();
  const add = (name, more, body) => pack.entry({ name, uid: 0, gid: 0, mtime: EPOCH, mode: 0o644, ...more }, body);
  for (const [name, mode] of Object.entries(FOLDERS)) add(`${name}/`, { type: 'directory', mode });
  for (const [name, body] of Object.entries(FILES)) add(name, {}, body);
  add('bin/busybox', { mode: 0o755 }, readFileSync(program));
  const applets = execFileSync(program, ['--list'], { encoding: 'utf8' }).trim().split('\n').sort();
  for (const applet of applets) {
    if (applet !== 'busybox') add(`bin/${applet}`, { type: 'link', linkname: 'bin/busybox', mode: 0o755 });
  }
  pack.finalize();
  const chunks = [];
  for await (const chunk of pack) chunks.push(chunk);
  return Buffer.concat(chunks);
}

const temporary = `${folder}.${process.pid}`;
const blobs = path.join(temporary, 'blobs/sha256');
mkdirSync(blobs, { recursive: true });

function blob(mediaType, content) {
  const bytes = Buffer.isBuffer(content) ? content : Buffer.from(JSON.stringify(content));
  const hex = createHash('sha256').update(bytes).digest('hex');
  writeFileSync(path.join(blobs, hex), bytes);
  return { mediaType, digest: `sha256:${hex}`, size: bytes.length };
}

const OCI = 'application/vnd.oci.image';
const architecture = { x64: 'amd64', ia32: '386' }[process.arch] ?? process.arch;
const files = blob(`${OCI}.layer.v1.tar`, await layer());
const config = blob(`${OCI}.config.v1+json`, {
  architecture,
  os: 'linux',
  created: EPOCH.toISOString(),
  config: { Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'], Cmd: ['sh'] },
  rootfs: { type: 'layers', diff_ids: [files.digest] },
  history: [{ created: EPOCH.toISOString(), created_by: 'COPY busybox / # static' }],
});
const manifest = blob(`${OCI}.manifest.v1+json`, {
  schemaVersion: 2,
  mediaType: `${OCI}.manifest.v1+json`,
  config,
  layers: [files],
});
const entry = { ...manifest, annotations: { 'org.opencontainers.image.ref.name': 'latest' } };
writeFileSync(path.join(temporary, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests: [entry] }));
writeFileSync(path.join(temporary, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }));
rmSync(folder, { recursive: true, force: true });
renameSync(temporary, folder);
