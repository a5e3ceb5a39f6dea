import assert from 'node:assert/strict';

import { mapEnvironment, parseDockerfile } from '@strake/parser';

import { isOnlyStage, StepNames } from '../src/lower/step-names.js';

describe('names of steps', () => {
  const amd64 = { os: 'linux', architecture: 'amd64' };
  const named = (variables: Readonly<Record<string, string>>): string =>
    new StepNames({ stage: 'build', total: 2, platform: amd64 }).next(
      'run x',
      mapEnvironment(new Map(Object.entries(variables))),
    );

  it('are numbered, with the instruction in capitals', () => {
    const names = new StepNames({ stage: '', total: 12 });
    assert.equal(names.next('copy a b'), '[ 1/12] COPY a b');
    names.onbuild = true;
    assert.equal(names.next('RUN y'), '[ 2/12] ONBUILD RUN y');
  });
  it('say which platform they run on and compile for, where there are several', () => {
    assert.equal(named({}), '[linux/amd64 build 1/2] RUN x');
    assert.equal(named({ TARGETPLATFORM: 'linux/arm64' }), '[linux/amd64->arm64 build 1/2] RUN x');
    assert.equal(named({ TARGETARCH: 'arm', TARGETVARIANT: 'v6' }), '[linux/amd64->arm/v6 build 1/2] RUN x');
    assert.equal(named({ TARGETOS: 'windows' }), '[linux/amd64->windows/amd64 build 1/2] RUN x');
    assert.equal(named({ TARGETARCH: 'amd64' }), '[linux/amd64 build 1/2] RUN x');
    assert.equal(named({ TARGETPLATFORM: '///' }), '[linux/amd64 build 1/2] RUN x');
  });
  it('name the only stage where it takes something from beside it', () => {
    const alone = (line: string): boolean => isOnlyStage(parseDockerfile(`FROM scratch\n${line}\n`).stages);
    assert.equal(alone('COPY a b'), true);
    assert.equal(alone('COPY --from=image a b'), false);
    assert.equal(alone('RUN --mount=type=tmpfs,target=/t true'), false);
  });
});
