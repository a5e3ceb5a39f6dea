// What is fuzzed. A target: `seeds` (bytes to begin with), `words` (pieces that mean something there), `run(input, random)`,
// `allows(error)` for what may come out, `repair(input, random)` for what would otherwise fail on a checksum only.
import { mkdtempSync, rmSync, writeFileSync, mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';

const from = (file) => import(new URL(`../../packages/${file}`, import.meta.url));
const { isStrakeError, digestOf, MediaType, parseReference, parsePlatform } = await from('core/dist/src/index.js');
const strakeOnly = (error) => isStrakeError(error);

const json = (value) => Buffer.from(JSON.stringify(value));
const HEX = 'a'.repeat(64);
const DIGEST = `sha256:${HEX}`;

/** A header of a tar, with a right checksum. */
function header(name, type = '0', size = 0, link = '') {
  const block = Buffer.alloc(512);
  block.write(name.slice(0, 100), 0, 'latin1');
  for (const [at, length, value] of [
    [100, 7, 0o644],
    [108, 7, 0],
    [116, 7, 0],
    [124, 11, size],
    [136, 11, 1e9],
  ])
    block.write(value.toString(8).padStart(length, '0'), at, 'latin1');
  block.write(type, 156, 'latin1');
  block.write(link, 157, 'latin1');
  block.write('ustar\x0000', 257, 'latin1');
  return block;
}

function entry(name, data = '', type = '0', link = '') {
  const body = Buffer.from(data, 'latin1');
  return Buffer.concat([header(name, type, body.length, link), body, Buffer.alloc((512 - (body.length % 512)) % 512)]);
}

const pax = (...records) =>
  entry(
    'pax',
    records
      .map((record) => {
        let length = record.length + 3;
        while (String(length).length + record.length + 2 !== length) length = String(length).length + record.length + 2;
        return `${length} ${record}\n`;
      })
      .join(''),
    'x',
  );

/** Damage that the checksum would catch is the boring kind: mostly it is made right. */
function repairTar(input, random) {
  const tar = Buffer.from(input);
  if (random() < 0.05) return tar;
  for (let at = 0; at + 512 <= tar.length; at += 512) {
    if (tar.toString('latin1', at + 257, at + 262) !== 'ustar') continue;
    tar.write(' '.repeat(8), at + 148, 'latin1');
    let sum = 0;
    for (let i = at; i < at + 512; i++) sum += tar[i];
    tar.write(`${sum.toString(8).padStart(6, '0')}\0 `, at + 148, 'latin1');
  }
  return tar;
}

const TARS = [
  Buffer.concat([
    entry('d/', '', '5'),
    entry('d/f', 'content'),
    entry('h', '', '1', 'd/f'),
    entry('d/.wh.gone'),
    Buffer.alloc(1024),
  ]),
  Buffer.concat([
    pax('path=long', 'mtime=12.5', 'SCHILY.xattr.user.a=b', 'uid=70000'),
    entry('x', 'y'),
    Buffer.alloc(1024),
  ]),
  Buffer.concat([
    entry('././@LongLink', `${'n'.repeat(120)}\0`, 'L'),
    entry('y', 'z'),
    entry('s', '', '2', '../../etc'),
  ]),
  Buffer.concat([
    pax('GNU.sparse.major=1', 'GNU.sparse.minor=0', 'GNU.sparse.realsize=5000', 'GNU.sparse.name=s'),
    entry('s', `${'1\n100\n4\n'.padEnd(512, '\0')}data`),
    pax('GNU.sparse.size=10', 'GNU.sparse.map=2,3'),
    entry('t', 'abc'),
  ]),
  Buffer.concat([
    pax('GNU.sparse.size=10', 'GNU.sparse.numblocks=2', 'GNU.sparse.map=2,3,6,1'),
    entry('u', 'abcd'),
    pax('GNU.sparse.size=9', 'GNU.sparse.numblocks=1', 'GNU.sparse.offset=2', 'GNU.sparse.numbytes=3'),
    entry('v', 'abc'),
    Buffer.alloc(1024),
  ]),
  Buffer.concat([entry('dev', '', '3'), entry('f', '', '6'), entry('.wh..wh..opq'), entry('old', 'x', 'S')]),
].map((tar) => repairTar(tar, () => 1));
const TAR_WORDS = [
  'ustar\x0000',
  'ustar  \0',
  'SCHILY.xattr.',
  'GNU.sparse.map=',
  'GNU.sparse.numblocks=',
  'GNU.sparse.offset=',
  '.wh.',
  '.wh..wh..opq',
  '././@LongLink',
  'linkpath=',
];

/** A zstd frame of raw blocks. */
function zstd(bytes) {
  const start = Buffer.alloc(4);
  start.writeUInt32LE((bytes.length << 3) | 1);
  return Buffer.concat([Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0, 0x50]), start.subarray(0, 3), bytes]);
}

export const targets = {
  /** Layers' tars, and what an index is made of. However the bytes are cut into pieces, the same must come out. */
  tar: async () => {
    const { TarParser } = await from('store/dist/src/tar/parser.js');
    const { addForeignEntry } = await from('store/dist/src/layer/layer-importer.js');
    const { RawEntries } = await from('store/dist/src/layer/raw-entries.js');
    const { IndexBuilder } = await from('store/dist/src/layer/index-builder.js');
    const { LayerIndex } = await from('store/dist/src/layer/layer-index.js');
    const read = (tar, piece) => {
      const entries = new RawEntries();
      const parser = new TarParser((one) => addForeignEntry(entries, one));
      try {
        for (let at = 0; at < tar.length;) {
          const size = piece();
          parser.push(tar.subarray(at, at + size));
          at += size;
        }
        parser.end();
        const index = Buffer.concat([...new IndexBuilder(entries).chunks()].map((chunk) => Buffer.from(chunk)));
        const loaded = new LayerIndex(DIGEST, index);
        for (let i = 0; i < loaded.count; i++) {
          if (loaded.findPath(loaded.path(i)) !== i)
            throw new Error(`the index does not find ${JSON.stringify(loaded.path(i))}`);
          const names = loaded.path(i).split('/');
          if (names.includes('..') || names.includes('.')) throw new Error(`a path with dots: ${loaded.path(i)}`);
          loaded.extra(i);
        }
        return digestOf(index);
      } catch (error) {
        if (!isStrakeError(error, 'LAYER_INVALID')) throw error;
        return error;
      }
    };
    return {
      seeds: TARS,
      words: TAR_WORDS,
      repair: repairTar,
      allows: strakeOnly,
      run: (input, random) => {
        const whole = read(input, () => input.length + 1);
        const cut = read(input, () => 1 + Math.floor(random() * 700));
        if (typeof whole !== typeof cut || (typeof whole === 'string' && whole !== cut)) {
          throw new Error(`in one piece: ${whole}; in several: ${cut}`);
        }
        if (typeof whole !== 'string') throw whole;
      },
    };
  },

  /** gzip and zstd framing of layers. */
  layer: async () => {
    const { decompress } = await from('store/dist/src/tar/decompress.js');
    const gz = gzipSync(TARS[0]);
    return {
      seeds: [gz, Buffer.concat([gz, gz]), zstd(TARS[0]), Buffer.concat([zstd(TARS[1]), zstd(TARS[2])]), TARS[0]],
      words: ['\x1f\x8b\x08', '\x28\xb5\x2f\xfd', '\x50\x2a\x4d\x18'],
      allows: (error) => isStrakeError(error) || /^Z_/.test(error?.code ?? ''),
      run: async (input) => {
        let size = 0;
        for (const type of [MediaType.ociLayerGzip, MediaType.ociLayer]) {
          await decompress(Readable.from([input], { objectMode: false }), type, (chunk) => {
            size += chunk.length;
            if (size > 1 << 28) throw Object.assign(new Error('enough'), { code: 'Z_ENOUGH' });
          });
        }
      },
    };
  },

  /** What ADD and contexts take: any compression, around a tar. */
  archive: async () => {
    const { decompress, detectCompression } = await from('builder/dist/src/copy/decompress.js');
    const { looksLikeArchive } = await from('builder/dist/src/source/archive-folder.js');
    const xz = Buffer.from(
      '/Td6WFoAAATm1rRGAgAhARYAAAB0L+WjAQAAeAAAAA/BpoDvtxcoAAEZAV7DXLkftvN9AQAAAAAEWVo=',
      'base64',
    );
    const bzip2 = Buffer.from('QlpoOTFBWSZTWUnv2EoAAABBAAAQABEAIAAhmhmDMLuSKcKEgk97CUA=', 'base64');
    return {
      seeds: [gzipSync('x'), zstd(Buffer.from('x')), xz, bzip2, Buffer.concat([bzip2, bzip2]), TARS[0]],
      words: ['BZh9', '1AY&SY', '\xfd7zXZ\0', '\x28\xb5\x2f\xfd', '\x1f\x8b\x08'],
      allows: (error) => error instanceof Error,
      run: async (input) => {
        looksLikeArchive(input);
        async function* pieces() {
          for (let at = 0; at < input.length; at += 1000) yield await Promise.resolve(input.subarray(at, at + 1000));
        }
        let size = 0;
        for await (const chunk of await decompress(pieces(), detectCompression(input))) {
          size += chunk.length;
          if (size > 1 << 28) return;
        }
      },
    };
  },

  /** Tars that are contexts. However the bytes are cut into pieces, the same must come out. */
  context: async () => {
    const { tarEntries } = await from('builder/dist/src/source/tar-entries.js');
    const { treePath } = await from('builder/dist/src/tree/paths.js');
    const read = async (tar, piece) => {
      const found = [];
      async function* pieces() {
        for (let at = 0; at < tar.length;) {
          const size = piece();
          yield await Promise.resolve(tar.subarray(at, at + size));
          at += size;
        }
      }
      try {
        for await (const { content, ...facts } of tarEntries(pieces())) {
          let size = 0;
          // Every third is left unread.
          if (found.length % 3 < 2) {
            for await (const chunk of content) size += chunk.length;
            const { pieces } = facts.sparse ?? {};
            if (pieces && pieces.reduce((sum, [, length]) => sum + length, 0) !== size)
              throw new RangeError('lost pieces');
          }
          const names = [facts.name, facts.link].map(treePath);
          if (names.some((name) => name.split('/').includes('..'))) throw new RangeError(`a path with dots: ${names}`);
          found.push({ ...facts, size });
        }
      } catch (error) {
        if (Object.getPrototypeOf(error) !== Error.prototype && !isStrakeError(error)) throw error;
        found.push(error.message);
      }
      return JSON.stringify(found);
    };
    return {
      seeds: TARS,
      words: TAR_WORDS,
      repair: repairTar,
      allows: () => false,
      run: async (input, random) => {
        const whole = await read(input, () => input.length + 1);
        const cut = await read(input, () => 1 + Math.floor(random() * 700));
        if (whole !== cut) throw new RangeError(`in one piece: ${whole}; in several: ${cut}`);
      },
    };
  },

  /** Manifests and indexes as a registry sends them. */
  manifest: async () => {
    const { checkManifest } = await from('registry/dist/src/manifest-check.js');
    const reference = parseReference('evil');
    const layer = { mediaType: MediaType.ociLayerGzip, digest: DIGEST, size: 5 };
    const config = { mediaType: MediaType.ociConfig, digest: DIGEST, size: 2 };
    const child = {
      mediaType: MediaType.ociManifest,
      digest: DIGEST,
      size: 2,
      platform: { os: 'linux', architecture: 'amd64' },
    };
    return {
      seeds: [
        json({ schemaVersion: 2, mediaType: MediaType.ociManifest, config, layers: [layer, layer] }),
        json({ schemaVersion: 2, mediaType: MediaType.ociIndex, manifests: [child] }),
        json({ schemaVersion: 2, mediaType: MediaType.dockerManifest, config, layers: [] }),
      ],
      words: ['"mediaType":', '"layers":', '"manifests":', '"config":', DIGEST, MediaType.ociIndex],
      allows: strakeOnly,
      run: (input) => {
        for (const type of [undefined, MediaType.ociManifest, MediaType.ociIndex, 'text/html; charset=x']) {
          try {
            checkManifest(reference, input, type);
          } catch (error) {
            if (!isStrakeError(error)) throw error;
          }
        }
        checkManifest(reference, input, undefined);
      },
    };
  },

  /** An image: every document that is asked for is the input, or a part of it. */
  image: async () => {
    const { loadImage } = await from('builder/dist/src/source/image-source.js');
    const platform = parsePlatform('linux/amd64');
    const config = {
      architecture: 'amd64',
      os: 'linux',
      config: {
        Env: ['PATH=/bin'],
        Cmd: ['sh'],
        Labels: { a: 'b' },
        Volumes: { '/v': {} },
        Healthcheck: { Test: ['NONE'] },
      },
      rootfs: { type: 'layers', diff_ids: [DIGEST] },
      history: [{ created_by: 'x', empty_layer: false }],
    };
    const one = { mediaType: MediaType.ociConfig, digest: DIGEST, size: 5 };
    const manifest = { schemaVersion: 2, config: one, layers: [{ ...one, mediaType: MediaType.ociLayer }] };
    const index = {
      manifests: [{ ...one, mediaType: MediaType.ociManifest, platform: { os: 'linux', architecture: 'amd64' } }],
    };
    const split = '\n---\n';
    return {
      seeds: [
        json(manifest).toString() + split + json(config),
        json(index).toString() + split + json(manifest) + split + json(config),
      ],
      words: [split, '"diff_ids":', '"Env":', '"OnBuild":', '"platform":', '"variant":', DIGEST],
      allows: strakeOnly,
      run: async (input) => {
        const documents = input.toString('latin1').split(split);
        let asked = 0;
        const content = {
          name: 'evil',
          async *blob() {
            if (asked > 50) throw new Error('it asks without end');
            yield await Promise.resolve(Buffer.from(documents[asked++] ?? documents.at(-1) ?? '', 'latin1'));
          },
        };
        const loaded = await loadImage(content, { mediaType: '', digest: DIGEST, size: 5 }, platform);
        JSON.stringify(loaded.config);
      },
    };
  },

  /** index.json of an OCI layout, and how a layout is named. */
  layout: async () => {
    const { openLayout } = await from('builder/dist/src/source/oci-layout.js');
    const folder = mkdtempSync(path.join(tmpdir(), 'strake-fuzz-'));
    process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
    const one = { mediaType: MediaType.ociManifest, digest: DIGEST, size: 5 };
    const tag = { annotations: { 'org.opencontainers.image.ref.name': 'latest' } };
    mkdirSync(path.join(folder, 'l'));
    return {
      seeds: [json({ schemaVersion: 2, manifests: [one] }), json({ manifests: [{ ...one, ...tag }, one] })],
      words: ['"manifests":', '"annotations":', '"digest":'],
      allows: strakeOnly,
      run: async (input) => {
        writeFileSync(path.join(folder, 'l', 'index.json'), input);
        const { content, root } = await openLayout(path.join(folder, 'l'));
        for await (const chunk of content.blob(root)) if (chunk.length > 1e9) throw new Error('too much');
      },
    };
  },

  /** WWW-Authenticate headers, and the address that they send to. */
  challenge: async () => {
    const { parseChallenges, chooseChallenge } = await from('registry/dist/src/challenge.js');
    const { checkRealm } = await from('registry/dist/src/token.js');
    const { parseScopes } = await from('registry/dist/src/scope.js');
    const { retryAfter } = await from('registry/dist/src/retry.js');
    return {
      seeds: [
        'Bearer realm="https://auth.example/token",service="registry",scope="repository:a/b:pull,push"',
        'Basic realm="x", Bearer realm="http://127.0.0.1:5000/t",error="insufficient_scope"',
        'Negotiate abc==, Digest nonce=1',
      ],
      words: ['Bearer ', 'Basic ', 'realm=', 'scope=', '"', '\\"', 'http://', '@', '%2f'],
      allows: strakeOnly,
      run: (input) => {
        const text = input.toString('latin1');
        const challenge = chooseChallenge(parseChallenges(text));
        const wait = retryAfter(text);
        if (wait !== undefined && !(wait >= 0)) throw new Error(`a wait of ${wait}`);
        parseScopes(challenge?.parameters.get('scope') ?? text.slice(0, 500));
        const base = new URL('https://registry.example');
        const url = checkRealm('registry.example', base, challenge?.parameters.get('realm') ?? text);
        if (url.protocol !== 'https:' || url.username !== '') throw new Error(`allowed: ${url.href}`);
      },
    };
  },

  /** Ignore files, and their patterns on paths. */
  ignore: async () => {
    const { parseIgnoreFile, createPatternMatcher, goMatch } = await from('parser/dist/src/index.js');
    return {
      seeds: ['*\n!src\n# comment\n**/*.log\nnode_modules/\n', 'a/**/b\n[a-z]?\\*\n!../x\n', '**\n!**/keep\n'],
      words: ['**/', '!', '[^', ']', '\\', '?', '#', '{'],
      allows: strakeOnly,
      run: (input) => {
        const text = input.toString('utf8').slice(0, 4000);
        for (const pattern of text.split('\n').slice(0, 5)) {
          try {
            goMatch(pattern, 'src/deep/a.log');
          } catch (error) {
            if (!isStrakeError(error)) throw error;
          }
        }
        const matcher = createPatternMatcher(parseIgnoreFile(text));
        for (const name of ['a', 'src/deep/x.log', 'node_modules/a/b', `${'a'.repeat(200)}/b`]) matcher.matches(name);
      },
    };
  },

  /** Dockerfiles: parsing, lint, outline. */
  dockerfile: async () => {
    const { parseDockerfile, checkDockerfile, outline, createExpander, mapEnvironment } =
      await from('parser/dist/src/index.js');
    const expander = createExpander('\\');
    const environment = mapEnvironment(
      new Map([
        ['A', 'value'],
        ['B', ''],
      ]),
    );
    return {
      seeds: [
        '# syntax=x\nARG A=1\nFROM busybox:$A AS a\nRUN --mount=type=cache,target=/c,id=x true && \\\n  false\nCOPY --from=a --chmod=755 a b /c/\n',
        'FROM a\nENV A=b C="d e"\nLABEL "x y"=z\nRUN <<EOF cat\nhello $A\nEOF\nCOPY <<-"X" <<Y /d/\n\ta\nX\nb\nY\n',
        'FROM scratch\nHEALTHCHECK --interval=5s CMD ["x"]\nONBUILD COPY . .\nEXPOSE 80/tcp 1-5\nSHELL ["a"]\nSTOPSIGNAL 9\nUSER 1:2\nVOLUME ["/a"]\n',
        '# escape=`\nFROM a\nRUN echo `\n  x ${A:-b} ${A#c*} ${A//x/y} $$\n',
      ],
      words: [
        'FROM ',
        'RUN ',
        'COPY ',
        '--mount=type=',
        '<<EOF',
        'ONBUILD ',
        '\\\n',
        '${A:',
        '--from=',
        '# check=',
        '["',
      ],
      allows: strakeOnly,
      run: (input) => {
        const text = input.toString('utf8');
        try {
          expander.expandWord(text.slice(0, 2000), environment);
        } catch (error) {
          if (!isStrakeError(error)) throw error;
        }
        const dockerfile = parseDockerfile(text);
        checkDockerfile(dockerfile);
        outline(dockerfile);
      },
    };
  },

  /** Records of the cache, notes and names of the store, as a crash or another program may have left them. */
  record: async () => {
    const { chainCodec } = await from('builder/dist/src/chain-codec.js');
    const { parseNote } = await from('store/dist/src/snapshot/notes.js');
    const { LayerIndex } = await from('store/dist/src/layer/layer-index.js');
    const store = {
      layers: { size: () => Promise.resolve(undefined) },
      blobs: { size: () => Promise.resolve(undefined) },
    };
    const codec = chainCodec(store, () => Promise.reject(new Error('no registry is to be asked')));
    const reference = { registry: 'docker.io', repository: 'library/x', tag: 'y' };
    const origin = { descriptor: { mediaType: MediaType.ociLayer, digest: DIGEST, size: 5 }, reference };
    return {
      seeds: [
        json({ layers: [{ diffId: DIGEST }] }),
        json({ layers: [{ diffId: DIGEST, origin }] }),
        json({ holder: 'abc' }),
      ],
      words: ['"layers":', '"diffId":', '"origin":', '"descriptor":', DIGEST, 'null'],
      allows: (error) => isStrakeError(error) || error instanceof RangeError || error instanceof SyntaxError,
      run: async (input) => {
        parseNote(input.toString('utf8'));
        let index;
        try {
          index = new LayerIndex(DIGEST, input);
        } catch (error) {
          if (!(error instanceof RangeError)) throw error;
        }
        index?.findPath('a/b');
        await codec.load(JSON.parse(input.toString('utf8')));
      },
    };
  },

  /** docker's config.json. */
  credentials: async () => {
    const file = await from('registry/dist/src/credential-file.js');
    const folder = mkdtempSync(path.join(tmpdir(), 'strake-fuzz-'));
    process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
    const auth = Buffer.from('me:password').toString('base64');
    return {
      seeds: [
        json({ auths: { 'https://index.docker.io/v1/': { auth }, 'r.example': { identitytoken: 'x' } } }),
        json({ credsStore: 'pass', credHelpers: { 'r.example': 'x' }, auths: {} }),
      ],
      words: ['"auths":', '"auth":', '"credHelpers":', '"credsStore":', 'r.example'],
      allows: strakeOnly,
      run: async (input) => {
        const at = path.join(folder, 'config.json');
        writeFileSync(at, input);
        const found = await file.readCredentialFile(at);
        if (!found) return;
        for (const registry of ['r.example', 'docker.io', '__proto__']) {
          file.helperFor(found, registry);
          file.keysOf(found, registry);
          file.storedCredentials(found, registry, 'a/b');
        }
      },
    };
  },

  /** Names and addresses of images, repositories, platforms, mounts. */
  names: async () => {
    const { parseGitReference } = await from('builder/dist/src/source/git-reference.js');
    const { parseMount, parsePorts, parseOwner, parseMode } = await from('parser/dist/src/index.js');
    const forms = [
      parseReference,
      parsePlatform,
      parseGitReference,
      (t) => parseMount(t, (word) => word),
      (t) => parsePorts([t]),
      parseOwner,
      parseMode,
    ];
    return {
      seeds: [
        'r.example:5000/a/b:tag@' + DIGEST,
        'linux/arm64/v8',
        'https://me:pw@github.com/a/b.git#main:sub',
        'git@host:a.git?ref=x&submodules=1',
        'type=bind,from=a,source=/x,target=/y,rw',
        '1-5/udp',
        'user:group',
        'u+rwX,g-w',
      ],
      words: ['@sha256:', 'git://', 'ssh://', '#', '?', '..', 'target=', '-oProxyCommand='],
      allows: strakeOnly,
      run: (input) => {
        const text = input.toString('utf8').slice(0, 4000);
        let refusal;
        for (const form of forms) {
          try {
            form(text);
          } catch (error) {
            if (!isStrakeError(error)) throw error;
            refusal = error;
          }
        }
        const git = (() => {
          try {
            return parseGitReference(text);
          } catch {
            return undefined;
          }
        })();
        if (git && (/^-/.test(git.remote) || /^-/.test(git.ref ?? '') || git.subdir.split('/').includes('..'))) {
          throw new Error(`a Git reference that git would misread: ${JSON.stringify(git)}`);
        }
        if (refusal) throw refusal;
      },
    };
  },
};
