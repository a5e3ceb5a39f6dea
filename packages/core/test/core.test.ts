import assert from 'node:assert/strict';
import fc from 'fast-check';

import {
  abortable,
  canonicalJson,
  canonicalName,
  closest,
  didYouMean,
  textOfBytes,
  wellFormed,
  collect,
  digestOf,
  familiarName,
  goQuote,
  isDigest,
  isNestedDeeper,
  Limiter,
  formatPlatform,
  parsePlatform,
  parseReference,
  selectPlatform,
  StrakeError,
  verified,
  ZstdFrames,
  type ByteStream,
} from '../src/index.js';

async function* chunks(...texts: string[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield await Promise.resolve(Buffer.from(text));
}

async function drain(stream: ByteStream): Promise<string> {
  return (await collect(stream, 1 << 20)).toString();
}

describe('JSON of others', () => {
  it('tells how deep it is nested, whatever its texts hold', () => {
    const depth = (value: unknown): number =>
      typeof value === 'object' && value !== null ? 1 + Math.max(0, ...Object.values(value).map(depth)) : 0;
    fc.assert(
      fc.property(fc.json({ maxDepth: 6 }), fc.integer({ min: 0, max: 8 }), (text, limit) => {
        assert.equal(isNestedDeeper(Buffer.from(text), limit), depth(JSON.parse(text)) > limit);
      }),
    );
    assert.ok(isNestedDeeper(Buffer.from('['.repeat(1_000_000)), 64));
    assert.ok(!isNestedDeeper(Buffer.from(JSON.stringify(['[[[[\\"[[['])), 1));
  });
});

describe('names of architectures', () => {
  it('that mean something to JavaScript objects mean nothing here', () => {
    for (const name of ['constructor', '__proto__', 'toString', 'hasOwnProperty']) {
      assert.equal(parsePlatform(`linux/${name}`).architecture, name.toLowerCase());
    }
  });
});

describe('zstd frames', () => {
  /** A frame of raw blocks. */
  const frame = (window: number, blocks: readonly string[], checksum = false): Buffer =>
    Buffer.concat([
      Buffer.from([0x28, 0xb5, 0x2f, 0xfd, checksum ? 4 : 0, window]),
      ...blocks.flatMap((text, i) => {
        const start = Buffer.alloc(3);
        start.writeUIntLE((text.length << 3) | (i === blocks.length - 1 ? 1 : 0), 0, 3);
        return [start, Buffer.from(text)];
      }),
      Buffer.alloc(checksum ? 4 : 0),
    ]);
  const skippable = Buffer.concat([Buffer.from([0x50, 0x2a, 0x4d, 0x18, 5, 0, 0, 0]), Buffer.from('hello')]);

  it('that ask for gigabytes are told, wherever they stand and however they are cut into pieces', () => {
    const good = [frame(0x50, ['abc', '', 'd'.repeat(300)]), frame(0x50, ['x'], true), skippable, frame(0x88, [''])];
    const single = Buffer.concat([Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0, 0, 0, 0xff]), Buffer.from([1, 0, 0])]);
    for (const [frames, expected] of [
      [good, true],
      [[...good, frame(0x9c, ['x'])], false],
      [[frame(0xa8, ['x']), ...good], false],
      [[...good, single], false],
      [[Buffer.from('no frame at all, but long enough to look like one')], true],
    ] as const) {
      const bytes = Buffer.concat(frames);
      for (const size of [1, 2, 3, 7, 11, 1000]) {
        const check = new ZstdFrames(1 << 27);
        let accepted = true;
        for (let at = 0; at < bytes.length; at += size) accepted &&= check.accepts(bytes.subarray(at, at + size));
        assert.equal(accepted, expected, `${bytes.toString('hex').slice(0, 40)} in pieces of ${size}`);
      }
    }
  });
});

describe('digests and streams', () => {
  it('only 64 hex digits after sha256: are a digest (CVE-2024-3727)', () => {
    assert.ok(isDigest(digestOf('x')));
    for (const bad of [
      '',
      'sha256:',
      `sha256:${'a'.repeat(63)}`,
      `sha256:${'A'.repeat(64)}`,
      `sha256:../${'a'.repeat(61)}`,
      7,
    ]) {
      assert.ok(!isDigest(bad));
    }
  });

  it('verified passes what is right and refuses what is not, before its end', async () => {
    const digest = digestOf('hello world');
    assert.equal(await drain(verified(chunks('hello ', 'world'), { digest, size: 11 })), 'hello world');
    for (const [texts, size] of [
      [['hello ', 'worlds'], 11],
      [['hello'], 11],
      [['hello world'], 10],
      [['jello world'], 11],
    ] as const) {
      await assert.rejects(drain(verified(chunks(...texts), { digest, size })), { code: 'DIGEST_MISMATCH' });
    }
  });

  it('collect reads no more than its limit', async () => {
    await assert.rejects(collect(chunks('abc', 'def'), 5), { code: 'TOO_LARGE' });
  });
});

describe('canonical JSON', () => {
  it('does not depend on the order of keys', () => {
    assert.equal(canonicalJson({ b: [{ z: 1, a: 2 }], a: undefined }), '{"b":[{"a":2,"z":1}]}');
  });

  it('round-trips every JSON value', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) =>
        assert.deepEqual(JSON.parse(canonicalJson(value)), JSON.parse(JSON.stringify(value))),
      ),
    );
  });
});

describe('image names', () => {
  const names: readonly (readonly [string, string, string])[] = [
    ['node', 'docker.io/library/node:latest', 'node:latest'],
    ['node:22-slim', 'docker.io/library/node:22-slim', 'node:22-slim'],
    ['me/app', 'docker.io/me/app:latest', 'me/app:latest'],
    ['index.docker.io/node', 'docker.io/library/node:latest', 'node:latest'],
    ['localhost/x', 'localhost/x:latest', 'localhost/x:latest'],
    ['127.0.0.1:5000/me/app:1', '127.0.0.1:5000/me/app:1', '127.0.0.1:5000/me/app:1'],
    [`a@sha256:${'0'.repeat(64)}`, `docker.io/library/a@sha256:${'0'.repeat(64)}`, `a@sha256:${'0'.repeat(64)}`],
  ];
  for (const [text, canonical, familiar] of names) {
    it(`${text} is ${canonical}`, () => {
      assert.equal(canonicalName(parseReference(text)), canonical);
      assert.equal(familiarName(parseReference(text)), familiar);
    });
  }

  for (const bad of [
    '',
    'A',
    'a/B',
    'a:',
    'a:b:c/',
    'a@sha256:12',
    '-a',
    'a//b',
    'a b',
    'host:5000/',
    '../../etc',
    'a'.repeat(300),
    'a'.repeat(64),
  ]) {
    it(`refuses ${JSON.stringify(bad.slice(0, 20))}`, () => {
      assert.throws(() => parseReference(bad), { code: 'REFERENCE_INVALID' });
    });
  }

  it('throws nothing but its own error', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        try {
          parseReference(text);
        } catch (error) {
          assert.ok(error instanceof StrakeError);
        }
      }),
    );
  });
});

describe('platforms', () => {
  it('normalises spellings', () => {
    const host = { os: 'linux', architecture: 'amd64' };
    assert.deepEqual(parsePlatform('linux/aarch64', host), { os: 'linux', architecture: 'arm64' });
    assert.deepEqual(parsePlatform('linux/arm64/v8', host), { os: 'linux', architecture: 'arm64' });
    assert.deepEqual(parsePlatform('x86_64', host), { os: 'linux', architecture: 'amd64' });
    assert.deepEqual(parsePlatform('linux', host), host);
    assert.throws(() => parsePlatform('a/b/c/d', host), { code: 'PLATFORM_INVALID' });
    assert.throws(() => parsePlatform('nonsense', host), { code: 'PLATFORM_INVALID' });
    for (const text of ['../..', 'linux/..', 'linux/amd64/v1.0', 'li nux/amd64', ''])
      assert.throws(() => parsePlatform(text, host), { code: 'PLATFORM_INVALID' }, text);
  });

  it('reads and writes the version and features of an operating system', () => {
    const windows = { os: 'windows', architecture: 'amd64', 'os.version': '10.0.20348.1006' };
    assert.deepEqual(parsePlatform('windows(10.0.20348.1006)/amd64'), windows);
    assert.deepEqual(parsePlatform('Windows(1.2.3)', { os: 'linux', architecture: 'arm64' }), {
      ...{ os: 'windows', architecture: 'arm64', 'os.version': '1.2.3' },
    });
    for (const text of ['windows(1.2.3)/bar', 'windows(1.2.3+b+c%2Fd)/amd64', 'linux(+x)/arm/v7', 'linux/arm64'])
      assert.equal(formatPlatform(parsePlatform(text)), text);
    assert.deepEqual(parsePlatform('windows(+b+a+b)/amd64')['os.features'], ['a', 'b']);
    for (const text of [
      'windows(1.2.3/amd64',
      'windows(1.2 3)/amd64',
      'amd64(1.2.3)',
      'windows(%zz)/amd64',
      '(1)/amd64',
    ])
      assert.throws(() => parsePlatform(text), { code: 'PLATFORM_INVALID' }, text);
  });

  it('chooses the image that a version of Windows runs', () => {
    const entry = (version: string) => ({
      platform: { os: 'windows', architecture: 'amd64', 'os.version': version },
    });
    const entries = ['10.0.17763.9', '10.0.20348.1', '10.0.26100.4'].map(entry);
    const chosen = (version: string): string | undefined =>
      selectPlatform(entries, entry(version).platform)?.platform['os.version'];
    assert.equal(chosen('10.0.17763.1006'), '10.0.17763.9');
    assert.equal(chosen('10.0.20348'), '10.0.20348.1');
    assert.equal(chosen('10.0.27000.1'), '10.0.26100.4');
    assert.equal(chosen('10.0.18363.1'), undefined);
    assert.equal(selectPlatform(entries, { os: 'windows', architecture: 'amd64' }), entries[0]);
  });

  it('chooses the entry of an index that runs', () => {
    const arm = (variant: string) => ({ platform: { os: 'linux', architecture: 'arm', variant } });
    const entries = [{ platform: { os: 'unknown', architecture: 'unknown' } }, arm('v5'), arm('v6')];
    assert.equal(selectPlatform(entries, { os: 'linux', architecture: 'arm', variant: 'v7' }), entries[2]);
    assert.equal(selectPlatform(entries, { os: 'linux', architecture: 'amd64' }), undefined);
  });
});

describe('limiter and abort', () => {
  it('a waiting task leaves the queue when it is aborted', async () => {
    const limiter = new Limiter(1);
    let release: () => void = () => undefined;
    const first = limiter.run(() => new Promise<void>((resolve) => (release = resolve)));
    const controller = new AbortController();
    const waiting = limiter.run(() => Promise.resolve('ran'), controller.signal);
    controller.abort();
    await assert.rejects(waiting, { code: 'CANCELLED' });
    release();
    await first;
    assert.equal(await limiter.run(() => Promise.resolve('next')), 'next');
  });

  it('abortable rejects with the reason given', async () => {
    const controller = new AbortController();
    const never = abortable(new Promise(() => undefined), controller.signal);
    controller.abort(new StrakeError({ code: 'STEP_FAILED', message: 'elsewhere' }));
    await assert.rejects(never, { code: 'STEP_FAILED' });
  });
});

describe('words', () => {
  it('didYouMean tells of the first word that is almost a known one', () => {
    assert.equal(didYouMean(['X', 'BUILDPLATFROM'], ['TARGETARCH', 'BUILDPLATFORM']), ' (did you mean BUILDPLATFORM?)');
    for (const words of [[], ['TARGETARCH'], ['nothing'], ['A'.repeat(300)]])
      assert.equal(didYouMean(words, ['TARGETARCH']), '');
  });

  it('closest finds a typing mistake and nothing far away', () => {
    assert.equal(closest('COPPY', ['COPY', 'CMD']), 'COPY');
    assert.equal(closest('zzzzzz', ['COPY', 'CMD']), undefined);
  });

  it('what is no Unicode is told in JSON as U+FFFD, and quoted as its bytes', () => {
    const text = textOfBytes(Buffer.from('caf\xe9 \xf0', 'latin1'));
    assert.deepEqual(wellFormed({ [text]: [text, 1, null] }), { 'caf\ufffd \ufffd': ['caf\ufffd \ufffd', 1, null] });
    assert.equal(wellFormed('\u{1f600} é'), '\u{1f600} é');
    assert.equal(goQuote(text), '"caf\\xe9 \\xf0"');
  });

  it("goQuote writes Go's escapes", () => {
    assert.equal(goQuote('a"b\n\x07\x01\u200b\\é'), '"a\\"b\\n\\a\\x01\\u200b\\\\é"');
  });
});
