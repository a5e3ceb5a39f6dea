import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { ROOT } from './support/repository.js';
import { Workshop } from './support/strake.js';

describe('attacks of the past', () => {
  it('each has tests that are there, as SECURITY.md names them', () => {
    const folders = [...readdirSync(path.join(ROOT, 'packages')).map((name) => `packages/${name}/test`), 'e2e/test'];
    const names = new Set<string>();
    let texts = '';
    for (const folder of folders) {
      for (const file of readdirSync(path.join(ROOT, folder))) {
        if (!file.endsWith('.test.ts')) continue;
        names.add(file.slice(0, -'.test.ts'.length));
        texts += readFileSync(path.join(ROOT, folder, file), 'utf8');
      }
    }
    const document = readFileSync(path.join(ROOT, 'SECURITY.md'), 'utf8');
    const table = /\n## Attacks of the past[^]*?\n## /.exec(document)?.[0] ?? '';
    const rows = table.split('\n').filter((line) => /^\| (?!-|attack )/.test(line));
    assert.ok(rows.length >= 29, `${rows.length} rows`);
    for (const row of rows) {
      const [, attack = '', holds = ''] = row.split(/(?<!\\)\|/).map((cell) => cell.trim());
      const told = [...holds.matchAll(/`([a-z][a-z0-9-]*)`/g)].map(([, name = '']) => name);
      const tests = told.filter((name) => names.has(name));
      assert.ok(tests.length > 0 || /cannot apply|core "/.test(holds), `${attack}: no test is named`);
      for (const [, title = ''] of holds.matchAll(/"([^"]+)"/g))
        assert.ok(texts.includes(title), `${attack}: "${title}"`);
      for (const name of told)
        if (name !== 'openat2') assert.ok(names.has(name), `${attack}: there is no test ${name}`);
    }
  });

  it('a stage that swaps what another mounts from a cache for a link to the outside (CVE-2024-23651)', async function () {
    this.timeout(120_000);
    const workshop = new Workshop();
    try {
      const outside = path.join(workshop.folder, 'outside');
      mkdirSync(outside);
      writeFileSync(path.join(outside, 'file'), 'of the machine\n');
      const swap = [
        ...['mkdir -p /c/real', 'echo of the cache > /c/real/file', 'end=$(($(date +%s) + 12))'],
        ...['while [ $(date +%s) -lt $end ]', `do for to in real ${outside} /c/real`],
        'do ln -s $to /c/new; rm -rf /c/part; mv /c/new /c/part; sleep 0.05; rm -f /c/part; cp -r /c/real /c/part; sleep 0.05; done; done; true',
      ].join('; ');
      const cache = '--mount=type=cache,id=shared';
      const swapping = new AbortController();
      const argv = ['--progress', 'plain', '-f', '-'];
      const base = ['--build-context', `busybox=oci-layout://${workshop.busybox}`, workshop.context];
      const swapper = workshop
        .strake(['build', ...argv, ...base], { input: `FROM busybox\nRUN ${cache},target=/c ${swap}\n` })
        .finally(() => swapping.abort());
      const mount = `RUN ${cache},source=part,target=/m cat /m/file; echo harmed > /m/file; echo x > /m/new; :`;
      let [tried, mounted] = [0, 0];
      while (!swapping.signal.aborted) {
        const input = `FROM busybox\n${mount} ${++tried}\n`; // not --no-cache, which empties caches
        const victim = await workshop.strake(['build', ...argv, ...base], { input });
        assert.doesNotMatch(victim.stderr, /of the machine|bug in strake/);
        if (victim.status === 0) mounted++;
        assert.deepEqual(readdirSync(outside), ['file']);
        assert.equal(readFileSync(path.join(outside, 'file'), 'utf8'), 'of the machine\n');
      }
      assert.equal((await swapper).status, 0, (await swapper).stderr);
      assert.ok(mounted > 0, 'it was never mounted');
    } finally {
      workshop.close();
    }
  });

  it('a base image with the layers of another one keeps its own HEALTHCHECK and ONBUILD (CVE-2024-24557)', async () => {
    const workshop = new Workshop();
    try {
      const seen: string[] = [];
      for (const word of ['one', 'two']) {
        const base = path.join(workshop.folder, word);
        const lines = ['FROM busybox', `HEALTHCHECK CMD echo ${word}`, `ONBUILD ENV WORD=${word}`, 'ONBUILD COPY f /f'];
        workshop.write('f', 'f');
        const made = await workshop.build(lines, ['-o', `type=oci,tar=false,dest=${base}`]);
        assert.equal(made.status, 0, made.stderr);
        const argv = ['--build-context', `base=oci-layout://${base}`, '-t', `child-${word}`];
        const built = await workshop.build(['FROM base', 'COPY f /g'], argv);
        assert.equal(built.status, 0, built.stderr);
        seen.push((await workshop.strake(['inspect', `child-${word}`])).stdout);
      }
      for (const [i, word] of ['one', 'two'].entries()) {
        assert.ok(seen[i]?.includes(`echo ${word}`) && seen[i].includes(`WORD=${word}`), seen[i]);
        assert.ok(!seen[i]?.includes(word === 'one' ? 'two' : 'one'), seen[i]);
      }
    } finally {
      workshop.close();
    }
  });
});
