import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
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
      // And a test says so of itself: by the whole name, or by the number behind a whole one.
      if (!holds.includes('cannot apply'))
        for (const [, number = ''] of attack.matchAll(/(-\d{4,5})\b(?!-)/g))
          assert.match(texts, new RegExp(`(CVE-\\d{4}|, )${number}\\b`), `${attack}: no test is called ${number}`);
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

  it('privileges that nobody allowed are refused before anything runs (CVE-2024-23653)', async () => {
    const workshop = new Workshop();
    try {
      for (const flag of ['--security=insecure', '--network=host', '--device=/dev/kmsg', '--device=vendor.com/a=b']) {
        const lines = ['FROM busybox', 'RUN echo ran-$((40 + 2))', `RUN ${flag} true`];
        const { status, stderr } = await workshop.build(lines, ['--progress', 'plain']);
        assert.equal(status, 1, `${flag}\n${stderr}`);
        assert.match(stderr, /security\.insecure|network\.host|device/i);
        assert.doesNotMatch(stderr, /ran-42/);
      }
    } finally {
      workshop.close();
    }
  });

  it('a tag that moves while it is pulled: one image in all stages, and nothing of two mixed', async function () {
    this.timeout(60_000);
    const workshop = new Workshop();
    const layouts: string[] = [];
    const manifests: { digest: string; mediaType: string }[] = [];
    let asked = 0;
    const blob = (digest: string): Buffer | undefined => {
      const files = layouts.map((layout) => path.join(layout, 'blobs', digest.replace(':', '/')));
      return files.filter((file) => existsSync(file)).map((file) => readFileSync(file))[0];
    };
    const server = createServer((request, response) => {
      const [, kind, name = ''] = /^\/v2\/moving\/(manifests|blobs)\/(.*)$/.exec(request.url ?? '') ?? [];
      const digest = name === 'tag' ? manifests[asked++ % manifests.length]?.digest : name;
      const body = kind === undefined ? Buffer.from('{}') : blob(digest ?? '');
      const type = kind === 'manifests' ? manifests[0]?.mediaType : 'application/octet-stream';
      response.writeHead(body ? 200 : 404, { 'content-type': type, 'content-length': body?.length ?? 0 });
      response.end(request.method === 'HEAD' ? undefined : body);
    });
    try {
      for (const word of ['one', 'two', 'three']) {
        const layout = path.join(workshop.folder, word);
        const lines = ['FROM busybox', `RUN echo ${word} > /word`, `LABEL word=${word}`];
        const made = await workshop.build(lines, ['-o', `type=oci,tar=false,dest=${layout}`]);
        assert.equal(made.status, 0, made.stderr);
        layouts.push(layout);
        const index = JSON.parse(readFileSync(path.join(layout, 'index.json'), 'utf8')) as {
          manifests: typeof manifests;
        };
        manifests.push(...index.manifests.slice(0, 1));
      }
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      const image = `127.0.0.1:${(server.address() as AddressInfo).port}/moving:tag`;
      const lines = [
        ...[
          `FROM ${image} AS first`,
          'RUN cp /word /first',
          `FROM ${image} AS second`,
          'COPY --from=first /first /first',
        ],
        ...[`COPY --from=${image} /word /third`, 'RUN cat /first /third /word | sort -u > /all', 'FROM scratch'],
        'COPY --from=second /all /',
      ];
      for (let i = 0; i < 3; i++) {
        const out = path.join(workshop.folder, `out-${i}`);
        const { status, stderr } = await workshop.build(lines, ['--pull', '-o', out]);
        assert.equal(status, 0, stderr);
        assert.match(readFileSync(path.join(out, 'all'), 'utf8'), /^(one|two|three)\n$/);
        const kept = await workshop.build([`FROM ${image}`], ['--pull', '-t', 'kept']);
        assert.equal(kept.status, 0, kept.stderr);
        const { stdout } = await workshop.strake(['inspect', 'kept']);
        const [, label = ''] = /"word": "(\w+)"/.exec(stdout) ?? [];
        const word = await workshop.build(
          ['FROM kept AS kept', 'FROM scratch', 'COPY --from=kept /word /'],
          ['-o', out],
        );
        assert.equal(word.status, 0, word.stderr);
        assert.equal(readFileSync(path.join(out, 'word'), 'utf8'), `${label}\n`);
      }
      assert.ok(asked > 3, `${asked} requests`);
    } finally {
      server.close();
      server.closeAllConnections();
      workshop.close();
    }
  });
});
