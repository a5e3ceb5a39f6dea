// What compressing a layer takes, by level: size and processor time of one thread for each FILE (a tar, or anything else).
// usage: node bench/compression.mjs [--levels 1,3,4,6] FILE ...
import fs from 'node:fs';
import { parseArgs } from 'node:util';

import { compressPart } from '../packages/store/dist/src/layer/compress-part.js';

const PART = 1 << 20;
const { values, positionals } = parseArgs({
  options: { levels: { type: 'string', default: '1,3,4,6' } },
  allowPositionals: true,
});
process.stdout.write('| file | level | size | MB/s |\n|---|---|---|---|\n');
for (const path of positionals) {
  const { size } = fs.statSync(path);
  for (const level of values.levels.split(',').map(Number)) {
    let made = 0;
    const before = process.cpuUsage();
    for (let start = 0; start < size; start += PART) {
      const end = Math.min(size, start + PART);
      made += compressPart({ path, start, end, last: end === size, compression: 'gzip', level }).bytes.length;
    }
    const { user, system } = process.cpuUsage(before);
    process.stdout.write(
      `| ${path} | ${level} | ${((made / size) * 100).toFixed(2)} % | ${(size / (user + system)).toFixed(0)} |\n`,
    );
  }
}
