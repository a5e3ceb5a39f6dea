import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { StrakeError } from '@strake/core';
import { checkDockerfile, dumpTree, parseDockerfile, parseIgnoreFile } from '../src/index.js';
import { fixture, readJson, sharedFolder } from './shared.js';

const PLATFORM = { os: 'linux', architecture: 'amd64' };

function dockerfileOf(folder: string): string {
  return readFileSync(join(folder, 'Dockerfile'), 'utf8');
}

/** Ranges as `line:column-line:column`; no source, no locations: the ranges say as much. */
function brief(key: string, value: unknown): unknown {
  if (['location', 'source', 'warnings', 'file'].includes(key)) return undefined;
  if (key !== 'range') return value;
  const { start, end } = value as Record<'start' | 'end', { line: number; column: number }>;
  return `${start.line}:${start.column}-${end.line}:${end.column}`;
}

describe('fixtures', () => {
  for (const name of readdirSync(fixture('parse'))) {
    it(`parse/${name}`, () => {
      const text = dockerfileOf(fixture('parse', name));
      assert.equal(dumpTree(text).text, readFileSync(fixture('parse', name, 'tree.txt'), 'utf8'));
      assert.deepEqual(
        JSON.parse(JSON.stringify(parseDockerfile(text), brief)),
        readJson(fixture('parse', name, 'expected.json')),
      );
    });
  }

  for (const name of readdirSync(fixture('errors'))) {
    it(`errors/${name}`, () => {
      const expected = readJson(fixture('errors', name, 'expected.json')) as Record<'code' | 'message', string> & {
        line: number;
      };
      const text = dockerfileOf(fixture('errors', name));
      assert.throws(
        () => parseDockerfile(text, { file: 'My.Dockerfile' }),
        (error) => {
          assert.ok(error instanceof StrakeError);
          assert.equal(error.code, expected.code);
          assert.ok(error.message.includes(expected.message), error.message);
          assert.equal(error.location?.line, expected.line);
          assert.equal(error.location.file, 'My.Dockerfile');
          assert.equal(error.location.source, text);
          assert.ok(error.hint);
          return true;
        },
      );
    });
  }

  for (const name of readdirSync(fixture('lint'))) {
    it(`lint/${name}`, () => {
      const folder = fixture('lint', name);
      const options = (existsSync(join(folder, 'options.json')) ? readJson(join(folder, 'options.json')) : {}) as {
        buildArgs?: Record<string, string>;
        ignorePatterns?: string[];
      };
      const dockerfile = parseDockerfile(dockerfileOf(folder));
      const { warnings, error } = checkDockerfile(dockerfile, {
        platform: PLATFORM,
        bases: dockerfile.stages.map(() => ({ env: ['PATH=/bin'], platform: PLATFORM })),
        ignorePatterns: options.ignorePatterns,
        buildArgs: new Map(Object.entries(options.buildArgs ?? {})),
      });
      assert.equal(error, undefined);
      const found = warnings.map(({ rule, location, message }) => [rule, location.line, message]);
      assert.deepEqual(found, readJson(join(folder, 'expected.json')));
    });
  }

  it('lint as recorded from BuildKit', function () {
    const shared = sharedFolder();
    if (!shared) return this.skip();
    const root = join(shared, 'conformance', 'lint');
    for (const name of readdirSync(root)) {
      if (!existsSync(join(root, name, 'expected.json'))) continue;
      const dockerfile = parseDockerfile(dockerfileOf(join(root, name)));
      const ignore = join(root, name, 'context', '.dockerignore');
      const { warnings } = checkDockerfile(dockerfile, {
        platform: PLATFORM,
        bases: dockerfile.stages.map(() => ({ env: ['PATH=/bin'], platform: PLATFORM })),
        ignorePatterns: existsSync(ignore) ? parseIgnoreFile(readFileSync(ignore, 'utf8')) : undefined,
      });
      const found = warnings.map(({ rule, location }) => JSON.stringify([rule, location.line])).sort();
      const wanted = (readJson(join(root, name, 'expected.json')) as unknown[])
        .map((row) => JSON.stringify(row))
        .sort();
      assert.deepEqual(found, wanted, name);
    }
  });
});
