import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { digestOf, MediaType, type Descriptor } from '@strake/core';

import { loadImage, type ImageContent } from '../src/source/image-source.js';
import { openLayout } from '../src/source/oci-layout.js';

const PLATFORM = { os: 'linux', architecture: 'amd64' };

/** An image without layers whose config document is what is given; MORE are further fields of its manifest. */
function imageOf(document: unknown, more: object = {}): { content: ImageContent; root: Descriptor } {
  const blobs = new Map<string, Buffer>();
  const add = (value: unknown, mediaType: string): Descriptor => {
    const bytes = Buffer.from(typeof value === 'string' ? value : JSON.stringify(value));
    const digest = digestOf(bytes);
    blobs.set(digest, bytes);
    return { mediaType, digest, size: bytes.length };
  };
  const config = add(document, MediaType.ociConfig);
  const root = add(
    { schemaVersion: 2, mediaType: MediaType.ociManifest, config, layers: [], ...more },
    MediaType.ociManifest,
  );
  async function* blob({ digest }: Descriptor): AsyncGenerator<Uint8Array> {
    yield await Promise.resolve(blobs.get(digest) ?? Buffer.alloc(0));
  }
  return { content: { name: 'evil', blob }, root };
}

function imageConfig(config: unknown, more: object = {}): object {
  return { ...PLATFORM, rootfs: { type: 'layers', diff_ids: [] }, config, ...more };
}

describe('image configs of hostile images', () => {
  const refused: Readonly<Record<string, [document: object, message: RegExp]>> = {
    'config a string': [imageConfig('x'), /of its config, config is not an object/],
    'config an array': [imageConfig([]), /config is not an object/],
    'Env of numbers': [imageConfig({ Env: ['PATH=/bin', 1] }), /config\.Env\[1\] is not a string/],
    'Env a text': [imageConfig({ Env: 'PATH=/bin' }), /config\.Env is not a list/],
    'Env an object': [imageConfig({ Env: { PATH: '/bin' } }), /config\.Env is not a list/],
    'OnBuild not text': [imageConfig({ OnBuild: [['RUN true']] }), /config\.OnBuild\[0\] is not a string/],
    'Labels of objects': [imageConfig({ Labels: { a: {} } }), /config\.Labels\["a"\] is not a string/],
    'Volumes of texts': [imageConfig({ Volumes: { '/v': 'x' } }), /config\.Volumes\["\/v"\] is not an object/],
    'User a number': [imageConfig({ User: 0 }), /config\.User is not a string/],
    'Healthcheck a string': [imageConfig({ Healthcheck: 'x' }), /config\.Healthcheck is not an object/],
    'Retries a text': [imageConfig({ Healthcheck: { Retries: '3' } }), /config\.Healthcheck\.Retries is not a whole/],
    'history of nulls': [imageConfig({}, { history: [null] }), /history\[0\] is not an object/],
    'rootfs a string': [imageConfig({}, { rootfs: 'layers' }), /rootfs is not an object/],
    'architecture a number': [imageConfig({}, { architecture: 64 }), /architecture is not a string/],
  };
  for (const [name, [document, message]] of Object.entries(refused)) {
    it(`are refused: ${name}`, async () => {
      const { content, root } = imageOf(document);
      await assert.rejects(loadImage(content, root, PLATFORM), { code: 'BASE_INVALID', message });
    });
  }

  it('nested too deep for what walks through them are refused', async () => {
    const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;
    const text = JSON.stringify(imageConfig({ Cmd: ['x'] }));
    for (const document of [text.replace('"Cmd"', `"X":${deep},"Cmd"`), `${text.slice(0, -1)},"x":${deep}}`]) {
      const { content, root } = imageOf(document);
      await assert.rejects(loadImage(content, root, PLATFORM), { code: 'BASE_INVALID', message: /nested too deep/ });
    }
  });

  it('with encrypted layers are refused by that word, before anything is read of them', async () => {
    const layer = {
      mediaType: `${MediaType.ociLayerGzip}+encrypted`,
      digest: digestOf(Buffer.from('cipher')),
      size: 6,
      annotations: { 'org.opencontainers.image.enc.keys.jwe': 'e30=' },
    };
    const { content, root } = imageOf(imageConfig({}), { layers: [layer] });
    await assert.rejects(loadImage(content, root, PLATFORM), { code: 'UNSUPPORTED', message: /layers are encrypted/ });
  });

  it('indexes in indexes come to an end', async () => {
    const { content, root } = imageOf(imageConfig({}));
    const blobs = new Map<string, Buffer>();
    const nested = (depth: number): Descriptor => {
      if (depth === 0) return root;
      const manifests = [{ ...nested(depth - 1), platform: PLATFORM }];
      const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: MediaType.ociIndex, manifests }));
      const digest = digestOf(bytes);
      blobs.set(digest, bytes);
      return { mediaType: MediaType.ociIndex, digest, size: bytes.length };
    };
    async function* blob(wanted: Descriptor): AsyncGenerator<Uint8Array> {
      const own = blobs.get(wanted.digest);
      if (own) yield own;
      else yield* content.blob(wanted);
    }
    await loadImage({ name: 'good', blob }, nested(3), PLATFORM);
    await assert.rejects(loadImage({ name: 'evil', blob }, nested(9), PLATFORM), {
      code: 'BASE_INVALID',
      message: /nested too deep/,
    });
  });

  it('a manifest in the place of an index is refused', async () => {
    const { content, root } = imageOf(imageConfig({}));
    const lie = { ...root, mediaType: MediaType.ociIndex };
    await assert.rejects(loadImage(content, lie, PLATFORM), { code: 'BASE_INVALID', message: /is not the index/ });
  });

  it('take null for a missing field, wherever it stands', async () => {
    const { content, root } = imageOf(
      imageConfig({ Env: null, Labels: null, Entrypoint: null, Healthcheck: { Test: null }, Volumes: { '/v': null } }),
    );
    const { config } = await loadImage(content, root, PLATFORM);
    assert.deepEqual(config.config, { Healthcheck: {}, Volumes: { '/v': null } });
  });

  it('keep names that mean something to JavaScript objects', async () => {
    const text = '{"__proto__":"a","constructor":"b","toString":"c"}';
    const { content, root } = imageOf(imageConfig({ Labels: JSON.parse(text) as unknown }));
    const { config } = await loadImage(content, root, PLATFORM);
    assert.equal(JSON.stringify(config.config?.Labels), text);
  });
});

describe('manifests of hostile images', () => {
  const good = imageConfig({});
  const refused: Readonly<Record<string, [more: object, root: object, message: RegExp]>> = {
    'both a manifest and an index (CVE-2021-41190)': [{ manifests: [] }, {}, /both a manifest and an index/],
    'layers no list': [{ layers: {} }, {}, /layers of .* are no list/],
    'no size': [{}, { size: undefined }, /the size of sha256:.* is not a number/],
    'a size below 0': [{}, { size: -1 }, /the size of/],
    'a size of text': [{}, { size: '5' }, /the size of/],
    'a platform of text': [{}, { platform: 'linux/amd64' }, /the platform of sha256:.* is none/],
    'a platform of lists': [{}, { platform: { os: 'linux', architecture: ['amd64'] } }, /the platform of/],
    'a platform of numbers': [{}, { platform: { os: 5, architecture: 6 } }, /the platform of/],
  };
  for (const [name, [more, lie, message]] of Object.entries(refused)) {
    it(`are refused: ${name}`, async () => {
      const { content, root } = imageOf(good, more);
      const lying = { ...root, ...lie };
      await assert.rejects(loadImage(content, lying, PLATFORM), { code: 'BASE_INVALID', message });
    });
  }
});

describe('layouts of hostile images', () => {
  const layout = mkdtempSync(join(tmpdir(), 'strake-layout-'));
  after(() => rmSync(layout, { recursive: true }));
  const manifests = (entry: object): void =>
    writeFileSync(join(layout, 'index.json'), JSON.stringify({ manifests: [entry] }));

  it('names that are no text are no names', async () => {
    manifests({ digest: digestOf('x'), size: 1, annotations: { 'org.opencontainers.image.ref.name': 5 } });
    await assert.rejects(openLayout(`${layout}:5`), { code: 'LAYOUT_INVALID', message: /no image 5/ });
  });

  it('what is no folder, or has a name that no file can have, is told to be no layout', async () => {
    writeFileSync(join(layout, 'file:1'), '');
    for (const name of ['file:1', 'file:1:2', `${'a'.repeat(300)}:1`, 'missing:1'])
      await assert.rejects(openLayout(join(layout, name)), { code: 'LAYOUT_INVALID' }, name.slice(0, 20));
  });

  it('a descriptor without a size is refused', async () => {
    manifests({ digest: digestOf('x') });
    const { content, root } = await openLayout(layout);
    await assert.rejects(loadImage(content, root, PLATFORM), { code: 'BASE_INVALID', message: /the size of/ });
  });
});
