import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { createEngine } from '../src/engine.js';
import type { CallResult, Engine } from '../src/types.js';

interface Report {
  readonly warnings: readonly { readonly ruleName: string }[];
  readonly buildError?: { readonly message: string };
}

describe('what is said of a Dockerfile without a build', () => {
  let folder: string;
  let engine: Engine;
  before(async () => {
    folder = mkdtempSync(path.join(tmpdir(), 'strake-call-'));
    engine = await createEngine({ root: path.join(folder, 'store') });
  });
  after(async () => {
    await engine.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const call = (
    method: 'check' | 'outline' | 'targets',
    lines: readonly string[],
    more: { readonly target?: string } = {},
  ): Promise<CallResult> => engine.call(method, { context: {}, dockerfile: `${lines.join('\n')}\n`, ...more });
  const check = async (...lines: string[]): Promise<readonly unknown[]> => {
    const { json, exitCode } = await call('check', lines);
    const { warnings, buildError } = json as Report;
    return [warnings.map(({ ruleName }) => ruleName), buildError?.message, exitCode];
  };

  it('ends with status 1 where a check found anything, as docker build --check does', async () => {
    assert.deepEqual(await check('FROM scratch'), [[], undefined, 0]);
    assert.deepEqual(await check('FROM scratch', 'COPY $no /'), [['UndefinedVar'], undefined, 1]);
    const message = 'lint violation found for rules: UndefinedVar';
    assert.deepEqual(await check('# check=error=true', 'FROM scratch', 'COPY $no /'), [['UndefinedVar'], message, 1]);
  });

  it('tells the warnings in front of what cannot be parsed or evaluated, and that as an error', async () => {
    const unknown = await check('FROM scratch AS Name', 'MAINTAINER me', 'BADCMD');
    assert.deepEqual(unknown, [['StageNameCasing', 'MaintainerDeprecated'], 'unknown instruction: BADCMD', 1]);
    const blank = await check('ARG IMAGE', 'FROM $IMAGE');
    assert.deepEqual(blank, [['InvalidDefaultArgInFrom'], 'base name ($IMAGE) should not be blank', 1]);
    assert.deepEqual(await check('BADCMD'), [[], 'unknown instruction: BADCMD', 1]);
  });

  it('tells what is wrong with a port, and that it is none', async () => {
    const port = (word: string): Promise<readonly unknown[]> => check('FROM scratch', `EXPOSE ${word}`);
    assert.deepEqual(await port('1.2.3.4:80:x'), [['ExposeInvalidFormat'], 'invalid containerPort: x', 1]);
    assert.deepEqual(await port('x/TCP'), [['ExposeProtoCasing'], 'invalid containerPort: x', 1]);
  });

  it('refuses what a build refuses before anything runs, in all stages or those of the target', async () => {
    const lines = ['FROM scratch AS a', 'ADD --checksum=sha256:0 f /', 'FROM scratch AS b', 'COPY --chmod=10000 f /'];
    const refused = async (target?: string): Promise<string | undefined> =>
      ((await call('check', lines, target === undefined ? {} : { target })).json as Report).buildError?.message;
    const mode = "invalid chmod parameter: '10000'. it should be octal string and between 0 and 07777";
    assert.equal(await refused(), mode);
    assert.equal(await refused('b'), mode);
    assert.equal(await refused('a'), 'checksum requires HTTP(S) or Git sources');
    assert.deepEqual(await check(...lines.slice(0, 2), 'FROM scratch'), [
      [],
      'checksum requires HTTP(S) or Git sources',
      1,
    ]);
  });

  it('takes a trigger that names no stage for an error of those who need it', async () => {
    const lines = ['FROM scratch AS s0', 'ONBUILD COPY --from=9 / /', 'FROM s0 AS s1', 'FROM scratch AS x', 'ENV a b'];
    assert.equal(((await call('outline', lines)).json as { readonly name: string }).name, 'x');
    await assert.rejects(call('outline', lines, { target: 's1' }), /invalid stage index 9/);
    assert.deepEqual(await check(...lines), [[], 'invalid stage index 9', 1]);
  });

  it('counts for an outline what is found in the stages of the target', async () => {
    const lines = ['# check=error=true', 'FROM scratch AS a', 'CMD x', 'FROM scratch AS b'];
    assert.equal((await call('outline', lines)).exitCode, 0);
    await assert.rejects(
      call('outline', lines, { target: 'a' }),
      /lint violation found for rules: JSONArgsRecommended/,
    );
  });

  it('lists as data in the order in which BuildKit finds things, and prints by lines', async () => {
    const lines = ['from scratch AS Name', 'MAINTAINER me', 'ENV a b', 'CMD x', 'COPY . \\', '', '  /'];
    assert.deepEqual(
      (await check(...lines))[0],
      'NoEmptyContinuation StageNameCasing FromAsCasing MaintainerDeprecated ConsistentInstructionCasing LegacyKeyValueFormat JSONArgsRecommended'.split(
        ' ',
      ),
    );
    const { text } = await call('check', lines);
    assert.deepEqual(
      [...text.matchAll(/^Dockerfile:(\d+)/gm)].map(([, line]) => Number(line)),
      [1, 1, 1, 2, 3, 4, 7],
    );
  });

  it('refuses names of contexts that no image could have, as buildx does', async () => {
    const named = (name: string): Promise<CallResult> =>
      engine.call('targets', { context: {}, dockerfile: 'FROM scratch', buildContexts: { [name]: folder } });
    for (const name of ['app', 'foo:1', 'localhost:5000/a/b', 'scratch', `a@sha256:${'1'.repeat(64)}`])
      await named(name);
    for (const name of ['A', 'a b', '-x', 'a::linux/amd64', 'a@b', './x', 'x:', '\u00fc', 'x..y', 'a'.repeat(64)]) {
      await assert.rejects(named(name), { code: 'ARGUMENT_INVALID', message: /^invalid context name/ }, name);
    }
  });

  it('prints a check as buildx does', async () => {
    const { text, error } = await call('check', ['FROM scratch', 'MAINTAINER me', 'BADCMD']);
    assert.equal(
      text,
      [
        'Check complete, 1 warning has been found!',
        '',
        'WARNING: MaintainerDeprecated - https://docs.docker.com/go/dockerfile/rule/maintainer-deprecated/',
        'Maintainer instruction is deprecated in favor of using label',
        'Dockerfile:2',
        '--------------------',
        '   1 |     FROM scratch',
        '   2 | >>> MAINTAINER me',
        '   3 |     BADCMD',
        '   4 |     ',
        '--------------------',
        '',
        '',
      ].join('\n'),
    );
    assert.equal(
      error,
      [
        'ERROR: unknown instruction: BADCMD',
        'Dockerfile:3',
        '--------------------',
        '   1 |     FROM scratch',
        '   2 |     MAINTAINER me',
        '   3 | >>> BADCMD',
        '   4 |     ',
        '--------------------',
        'hint: Every line begins with an instruction such as FROM, RUN or COPY; a line that ends in the escape character goes on in the next.',
        '',
      ].join('\n'),
    );
  });

  it('checks what is there where the target is not, and gives no outline of what check=error forbids', async () => {
    const lines = ['# check=error=true', 'FROM scratch', 'MAINTAINER me'];
    await assert.rejects(call('outline', lines), /lint violation found for rules: MaintainerDeprecated/);
    const found = await call('check', lines, { target: 'nowhere' });
    assert.match(found.text, /^Check complete, 1 warning has been found!\n/);
    assert.match(found.error ?? '', /^ERROR: target stage "nowhere" could not be found\n/);
    assert.equal(found.exitCode, 1);
  });

  it('shows around a finding of several lines less than around one', async () => {
    const { text } = await call('check', ['FROM scratch', 'LABEL a=b', 'CMD x \\', '  y', 'LABEL c=d', 'LABEL e=f']);
    const shown = text.split('\n').filter((line) => /^ +\d+ \|/.test(line));
    assert.deepEqual(shown, ['   2 |     LABEL a=b', '   3 | >>> CMD x \\', '   4 | >>>   y', '   5 |     LABEL c=d']);
  });

  it('has no outline of a stage whose base is no image', async () => {
    await assert.rejects(call('outline', ['FROM scratch AS A', 'FROM A']), { code: 'REFERENCE_INVALID' });
  });

  it('lists targets and parameters in the columns of buildx, and gives the Dockerfile with the data', async () => {
    const dockerfile = ['# a is one', 'FROM scratch AS a', 'ARG V=12', 'RUN --mount=type=ssh x', 'FROM a AS last'];
    const targets = await call('targets', dockerfile);
    assert.equal(targets.text, 'TARGET         DESCRIPTION\na              is one\nlast (default) \n');
    const outline = await call('outline', dockerfile);
    const columns = ['BUILD ARG   VALUE   DESCRIPTION', 'V           12      ', '', 'SSH       REQUIRED', 'default   '];
    assert.equal(outline.text, ['TARGET: last', '', ...columns, '', ''].join('\n'));
    for (const { json } of [targets, outline]) {
      const [source = ''] = (json as { sources: string[] }).sources;
      assert.equal(Buffer.from(source, 'base64').toString(), `${dockerfile.join('\n')}\n`);
    }
  });
});
