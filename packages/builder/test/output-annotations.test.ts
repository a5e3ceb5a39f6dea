import assert from 'node:assert/strict';
import { annotationAttributes, annotationsFor, parseAnnotation } from '../src/outputs/annotations.js';

const linux = { os: 'linux', architecture: 'amd64' };

describe('annotations', () => {
  it('are of the manifest where nothing else is said', () => {
    assert.deepEqual(parseAnnotation('a.b=c=d:e'), [{ place: 'manifest', key: 'a.b', value: 'c=d:e' }]);
    assert.deepEqual(parseAnnotation('url=http://x'), [{ place: 'manifest', key: 'url', value: 'http://x' }]);
    assert.deepEqual(parseAnnotation('manifest.key=x:y=z'), [
      { place: 'manifest', key: 'manifest.key', value: 'x:y=z' },
    ]);
  });

  it('name their places and platforms', () => {
    assert.deepEqual(parseAnnotation('index,manifest-descriptor[linux/x86_64]:k='), [
      { place: 'index', key: 'k', value: '' },
      { place: 'manifest-descriptor', platform: 'linux/amd64', key: 'k', value: '' },
    ]);
  });

  it('are refused where they are not understood', () => {
    for (const text of [
      'novalue',
      '=x',
      'index:novalue',
      'manifests:k=v',
      'a:b=c',
      'index:=v',
      'index,other:k=v',
      'manifest[linux/x/y/z]:k=v',
    ]) {
      assert.throws(() => parseAnnotation(text), { name: 'StrakeError' }, text);
    }
  });

  it('come from the attributes of an output as well', () => {
    assert.deepEqual(
      annotationAttributes({
        dest: 'x',
        'annotation.a': '1',
        'annotation-index.b.c': '2',
        'annotation-manifest[linux/arm64].d': '3',
      }),
      [
        { place: 'manifest', key: 'a', value: '1' },
        { place: 'index', key: 'b.c', value: '2' },
        { place: 'manifest', platform: 'linux/arm64', key: 'd', value: '3' },
      ],
    );
    assert.throws(() => annotationAttributes({ 'annotation-nothing.a': '1' }), { code: 'ARGUMENT_INVALID' });
  });

  it('are chosen by place and platform; the last of a key counts', () => {
    const all = ['k=1', 'manifest[linux/arm64]:k=2', 'manifest[linux/amd64]:l=3', 'k=4'].flatMap(parseAnnotation);
    assert.deepEqual(annotationsFor(all, 'manifest', linux), { k: '4', l: '3' });
    assert.equal(annotationsFor(all, 'index'), undefined);
  });
});
