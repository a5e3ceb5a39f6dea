import assert from 'node:assert/strict';
import { isStrakeError } from '@strake/core';
import { mountSource, parseMount } from '../src/index.js';

const parse = (flag: string): ReturnType<typeof parseMount> => parseMount(flag, (word) => word.replace('$X', 'exp'));

describe('parseMount', () => {
  it('bind is the default type, and read-only', () => {
    const mount = parse('target=/x');
    assert.deepEqual([mount.type, mount.readOnly, mount.target, mount.from], ['bind', true, '/x', undefined]);
    assert.equal(parse('target=/x,rw').readOnly, false);
    assert.equal(parse('target=/x,readonly=false').readOnly, false);
    assert.equal(parse('target=/x,rw=false').readOnly, true);
  });
  it('cache', () => {
    const mount = parse('type=cache,dst=/a/../$X/,sharing=LOCKED,mode=0700,uid=5');
    assert.deepEqual(
      [mount.id, mount.sharing, mount.mode, mount.uid, mount.gid, mount.readOnly],
      ['/exp', 'locked', 0o700, 5, undefined, false],
    );
  });
  it('tmpfs', () => {
    assert.equal(parse('type=tmpfs,target=/x,size=64m').size, 64 * 1024 * 1024);
    assert.equal(parse('type=tmpfs,target=/x,size=1.5KiB').size, 1536);
  });
  it('secret', () => {
    assert.deepEqual([parse('type=secret,id=k').id, parse('type=secret,id=k').target], ['k', '/run/secrets/k']);
    assert.deepEqual([parse('type=secret,target=/a/b').id, parse('type=secret,src=s').id], ['b', 's']);
    const env = parse('type=secret,id=k,env=K,required');
    assert.deepEqual([env.env, env.target, env.required], ['K', undefined, true]);
    assert.equal(parse('type=secret,id=k,env=K,target=/k').target, '/k');
  });
  it('ssh', () => assert.equal(parse('type=ssh').id, 'default'));
  it('quoted fields', () => {
    assert.equal(parse('"source=a,b",target=/x').source, 'a,b');
    assert.equal(parse('"source=a""b",target=/x').source, 'a"b');
  });

  const bad: readonly (readonly [string, string])[] = [
    ['', 'failed to parse csv mounts'],
    ['a"b', 'bare "'],
    ['"a', 'missing "'],
    ['type=bnd,target=/x', 'unsupported mount type "bnd" (did you mean bind?)'],
    ['target', 'must be a key=value pair'],
    ['tagret=/x', "unexpected key 'tagret'"],
    ['__proto__=/x', "unexpected key '__proto__'"],
    ['type=constructor', 'unsupported mount type "constructor"'],
    ['required,type=secret,id=x', "unexpected key 'required' for mount type 'bind'"],
    // CVE-2024-9407: options of mount(2) get nowhere.
    ['type=bind,target=/x,bind-propagation=shared', "unexpected key 'bind-propagation'"],
    ['type=bind,target=/x,relabel=shared', "unexpected key 'relabel'"],
    ['type=cache,target=/x,bind-propagation=rshared', "unexpected key 'bind-propagation'"],
    ['type=bind,target=/x,size=1', "unexpected key 'size' for mount type 'bind'"],
    ['type=tmpfs,target=/x,size=many', 'invalid value for size'],
    ['type=cache,target=/x,sharing=borrowed', 'unsupported sharing value "borrowed"'],
    ['type=bind,target=/x,sharing=shared', 'invalid cache sharing'],
    ['type=bind,target=/x,mode=0700', 'mode not allowed for "bind"'],
    ['type=tmpfs,target=/x,uid=1', 'uid not allowed'],
    ['type=cache,target=/x,mode=99', 'invalid value 99 for mode'],
    ['type=cache,target=/x,uid=me', 'invalid value me for uid'],
    ['type=secret', 'one of source, target required'],
    ['type=secret,env=X', 'one of source, target required'],
    ['type=secret,id=a,source=b', "both source and id can't be set"],
    ['type=secret,id=a,from=b', 'should not have a from'],
    ['type=secret,id=a,sharing=shared', 'should not define sharing'],
    ['type=ssh,source=x', 'ssh does not support source'],
    ['type=bind,target=/a/..', 'invalid mount target "/"'],
    ['type=bind,target=/x,ro=perhaps', 'invalid value for ro: perhaps'],
  ];
  for (const [flag, message] of bad) {
    it(`${flag || '(empty)'} is an error`, () => {
      assert.throws(
        () => parse(flag),
        (e) => isStrakeError(e, 'MOUNT_INVALID') && e.message.includes(message),
      );
    });
  }

  it('mountSource', () => {
    assert.equal(mountSource('target=/x,from=a'), 'a');
    assert.equal(mountSource('target=$X'), undefined);
    assert.throws(
      () => mountSource('from=a$X'),
      (e) => isStrakeError(e, 'MOUNT_INVALID'),
    );
  });
});
