// Runs a suite of cases that another program judges, and allows those to fail that are listed as not done yet.
// usage: node scripts/suite.mjs NAME COMMAND [ARGUMENT...]
// COMMAND prints `ok NAME` or `FAIL NAME` for each case. e2e/conformance-known-failures.txt lists cases, a line each, as
// NAME/CASE. A listed case may fail, and is named where it passes; an unlisted one must pass. The last line is
// `N passed, N failed`; listed failures are in neither number. Exit status 1 where an unlisted case failed, or none ran.
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

const [name, command, ...args] = process.argv.slice(2);
const listed = new Set(
  readFileSync(new URL('../e2e/conformance-known-failures.txt', import.meta.url), 'utf8')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#') && line.startsWith(`${name}/`)),
);

const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] });
let passed = 0;
let failed = 0;
let known = 0;
let quiet = false;
for await (const line of createInterface({ input: child.stdout })) {
  const [, verdict, title] = /^(ok|FAIL)\s+(\S+)/.exec(line) ?? [];
  if (verdict === undefined) {
    // what a case printed below its line, and the suite's own counts
    if (!quiet && !/^\d+ passed, /.test(line)) console.log(line);
    continue;
  }
  const id = `${name}/${title}`;
  quiet = verdict === 'ok' || listed.has(id);
  if (verdict === 'ok') {
    passed++;
    if (listed.has(id)) console.log(`passes now, take it off the list: ${id}`);
  } else if (listed.has(id)) known++;
  else {
    failed++;
    console.log(`FAIL  ${id}${line.slice(line.indexOf(title) + title.length)}`);
  }
}
if (passed + failed + known === 0) {
  failed = 1;
  console.log(`FAIL  ${name}: no case ran`);
}
if (known > 0) console.log(`${known} of ${name} are known to fail`);
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;
