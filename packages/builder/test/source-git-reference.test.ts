import { isStrakeError } from '@strake/core';
import assert from 'node:assert/strict';
import fc from 'fast-check';

import { displayRemote, parseGitReference, type GitReference } from '../src/source/git-reference.js';

describe('Git references', () => {
  const cases: Readonly<Record<string, Partial<GitReference> | undefined>> = {
    'https://example.com/': undefined,
    'https://example.com/foo': undefined,
    'https://example.com/foo.git': {
      remote: 'https://example.com/foo.git',
      host: 'example.com',
      ref: undefined,
      subdir: '',
    },
    'https://example.com/foo.git#deadbeef': { ref: 'deadbeef' },
    'https://example.com/foo.git#release/1.2:a/b': { ref: 'release/1.2', subdir: 'a/b' },
    'https://example.com/foo.git#:a/../../b': { ref: undefined, subdir: 'b' },
    'https://example.com/foo.git/': undefined,
    'https://example.com/foo.git.bar': undefined,
    'https://example.com/foo.git:#branch': undefined,
    'https://example.com/foo%2egit': { remote: 'https://example.com/foo%2egit' },
    'HTTPS://example.com/foo.git': { remote: 'https://example.com/foo.git', protocol: 'https' },
    'git://example.com/foo': { remote: 'git://example.com/foo', protocol: 'git' },
    'ssh://git@example.com:22/foo': { remote: 'ssh://git@example.com:22/foo', protocol: 'ssh', credentials: undefined },
    'git@example.com:foo/bar': { remote: 'git@example.com:foo/bar', protocol: 'ssh', host: 'example.com' },
    'git@example.com:foo.git?subdir=/sub#v1': { remote: 'git@example.com:foo.git', ref: 'v1', subdir: 'sub' },
    'git@example.com:foo.git?#v1': { remote: 'git@example.com:foo.git', ref: 'v1' },
    'https://example.com/foo.git?&': { remote: 'https://example.com/foo.git' },
    'github.com/a/b?tag=v1': { remote: 'https://github.com/a/b', likeLocalPath: true, ref: 'refs/tags/v1' },
    'https://u:p%40@example.com/foo.git': {
      remote: 'https://example.com/foo.git',
      credentials: { user: 'u', password: 'p@' },
    },
    'https://example.com/foo.git?branch=v1': { ref: 'refs/heads/v1' },
    'https://example.com/foo.git?ref=v1&subdir=s#v1:s': { ref: 'v1', subdir: 's' },
    'https://example.com/foo.git?mtime=commit&submodules=false&keep-git-dir': {
      mtime: 'commit',
      submodules: false,
      keepGitDir: true,
    },
    'https://example.com/foo.git?fetch-by-commit&checksum=deadbeef': { fetchByCommit: true, checksum: 'deadbeef' },
    'https://example.com/foo.git?commit=deadbeef': { checksum: 'deadbeef', fetchByCommit: false },
    './x.git': undefined,
    '../x.git': undefined,
    '.git': undefined,
    'example.com/a/b.git': undefined,
    'ftp://example.com/foo.git': undefined,
    'file:///foo.git': undefined,
    'https:///foo.git': undefined,
  };
  for (const [text, expected] of Object.entries(cases)) {
    it(`${text} is ${expected ? 'one' : 'none'}`, () => {
      const actual = parseGitReference(text);
      if (!expected) return assert.equal(actual, undefined);
      const fields = Object.fromEntries(Object.keys(expected).map((key) => [key, actual?.[key as keyof GitReference]]));
      assert.deepEqual(fields, expected);
    });
  }

  const query = (text: string): string => `https://example.com/foo.git?${text}`;
  const invalid = [
    ...['ref=v1#v2', 'ref=v1&tag=v1', 'tag=v1&branch=v1', 'mtime=now', 'fetch-by-commit=maybe', 'other=1'].map(query),
    ...['ref=', 'tag=a&tag=b', 'checksum=xyz', 'subdir=a#:b', 'commit=aa&checksum=bb', 'ref=--upload-pack%3dx'].map(
      query,
    ),
    ...['https://example.com/foo.git?', 'https://example.com/foo.git?#v1', 'ssh://git@h/x?', 'github.com/a/b?'],
    ...['#-x', '#a..b', '#a^', '#@{1}', '#a%00b'].map((ref) => `https://example.com/foo.git${ref}`),
    ...['git@-oProxyCommand:y', 'ssh://-oProxyCommand=x/y', 'ssh://git@-x/y', 'https://-x/foo.git', 'git://a b/c'],
  ];
  for (const text of invalid) {
    it(`${text} is refused`, () => {
      assert.throws(() => parseGitReference(text), { code: 'ARGUMENT_INVALID' });
    });
  }

  it('show no password (CVE-2023-26054)', () => {
    assert.equal(displayRemote('https://u:secret@h/x.git?token=y'), 'https://h/x.git');
    assert.throws(
      () => parseGitReference('https://u:secret@h/x.git?bad=1'),
      (error) => isStrakeError(error) && !error.message.includes('secret'),
    );
  });

  it('never fail with anything but a StrakeError', () => {
    const part = fc.constantFrom(
      'git@',
      'https://',
      'ssh://',
      'github.com/',
      '.git',
      '#',
      ':',
      '?',
      '&',
      '=',
      '%',
      '@',
      '-',
      'ref',
      '\0',
      '..',
    );
    fc.assert(
      fc.property(fc.array(fc.oneof(part, fc.string({ maxLength: 4 })), { maxLength: 12 }), (parts) => {
        try {
          const reference = parseGitReference(parts.join(''));
          assert.ok(!reference?.remote.startsWith('-') && !reference?.ref?.startsWith('-'));
        } catch (error) {
          assert.ok(isStrakeError(error), String(error));
        }
      }),
      { numRuns: 2000 },
    );
  });
});
