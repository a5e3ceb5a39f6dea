// The least that a COPY has to do, as a plain program: every file read and hashed, a tar of them hashed and written.
// usage: node bench/plain-copy.mjs FOLDER TAR
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';

const BLOCK = 512;
const [folder, target] = process.argv.slice(2);
const out = fs.openSync(target, 'w');
const whole = createHash('sha256');

function put(bytes) {
  whole.update(bytes);
  fs.writeSync(out, bytes);
}

function header(name, size) {
  const block = Buffer.alloc(BLOCK);
  const octal = (value, length) => `${value.toString(8).padStart(length - 1, '0')}\0`;
  block.write(name, 0);
  block.write(octal(0o644, 8), 100);
  block.write(octal(size, 12), 124);
  block.write('        0', 148);
  block.write('ustar\x0000', 257);
  block.write(
    octal(
      block.reduce((sum, byte) => sum + byte),
      8,
    ),
    148,
  );
  return block;
}

for (const name of fs.readdirSync(folder, { recursive: true }).sort()) {
  const file = path.join(folder, name);
  if (!fs.lstatSync(file).isFile()) continue;
  const content = fs.readFileSync(file);
  createHash('sha256').update(content).digest();
  put(Buffer.concat([header(name, content.length), content, Buffer.alloc(-content.length & (BLOCK - 1))]));
}
put(Buffer.alloc(2 * BLOCK));
process.stdout.write(`${whole.digest('hex')}\n`);
