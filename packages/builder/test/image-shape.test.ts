import assert from 'node:assert/strict';

import { digestOf, MediaType, type Descriptor } from '@strake/core';

import { loadImage, type ImageContent } from '../src/source/image-source.js';

const PLATFORM = { os: 'linux', architecture: 'amd64' };

/** An image without layers whose config document is what is given. */
function imageOf(document: unknown): { content: ImageContent; root: Descriptor } {
  const blobs = new Map<string, Buffer>();
  const add = (value: unknown, mediaType: string): Descriptor => {
    const bytes = Buffer.from(typeof value === 'string' ? value : JSON.stringify(value));
    const digest = digestOf(bytes);
    blobs.set(digest, bytes);
    return { mediaType, digest, size: bytes.length };
  };
  const config = add(document, MediaType.ociConfig);
  const root = add({ schemaVersion: 2, mediaType: MediaType.ociManifest, config, layers: [] }, MediaType.ociManifest);
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
