import assert from 'node:assert/strict';
import { isStrakeError } from '@strake/core';
import { checkDockerfile, lint, lintError, LINT_RULES, parseDockerfile } from '../src/index.js';

const rules = (text: string, ...options: [Parameters<typeof lint>[1]?]): string[] =>
  lint(parseDockerfile(text), ...options).map(({ rule }) => rule);

describe('lint', () => {
  it('knows 22 rules, with pages', () => {
    const all = Object.values(LINT_RULES);
    assert.equal(all.length, 22);
    assert.equal(
      LINT_RULES.jsonArgsRecommended.url,
      'https://docs.docker.com/go/dockerfile/rule/json-args-recommended/',
    );
    assert.deepEqual(
      all.filter(({ url }) => url === ''),
      [LINT_RULES.invalidBaseImagePlatform],
    );
  });

  it('error=true', () => {
    const dockerfile = parseDockerfile('# check=error=true\nFROM a\nMAINTAINER me\nCMD x\n');
    const error = lintError(dockerfile, lint(dockerfile));
    assert.ok(isStrakeError(error, 'LINT_VIOLATION'));
    assert.equal(error.message, 'lint violation found for rules: MaintainerDeprecated, JSONArgsRecommended');
    assert.equal(lintError(dockerfile, []), undefined);
  });

  it('BUILDKIT_DOCKERFILE_CHECK takes the place of the directive', () => {
    const buildArgs = new Map([['BUILDKIT_DOCKERFILE_CHECK', 'skip=MaintainerDeprecated']]);
    const dockerfile = parseDockerfile('# check=error=true;skip=all\nFROM a\nMAINTAINER me\nCMD x\n');
    assert.deepEqual(
      lint(dockerfile, { buildArgs }).map(({ rule }) => rule),
      ['JSONArgsRecommended'],
    );
    assert.equal(lintError(dockerfile, lint(dockerfile, { buildArgs }), { buildArgs }), undefined);
    assert.equal(parseDockerfile('# check=bad\nFROM a\n', { check: '' }).check?.error, false);
    assert.throws(
      () => lint(dockerfile, { buildArgs: new Map([['BUILDKIT_DOCKERFILE_CHECK', 'x']]) }),
      (e) => isStrakeError(e, 'CHECK_INVALID'),
    );
  });

  it('a build looks at the stages it needs; rules of the text count everywhere', () => {
    const text = 'FROM a AS X\nWORKDIR w\nFROM b\nWORKDIR v\n';
    assert.deepEqual(rules(text, { onlyStages: new Set([1]) }), ['StageNameCasing', 'WorkdirRelativePath']);
    assert.deepEqual(rules(text, { target: 'x' }), ['StageNameCasing', 'WorkdirRelativePath']);
    assert.deepEqual(rules(text).length, 3);
  });

  it('the base image counts', () => {
    const base = {
      env: ['A=1'],
      platform: { os: 'linux', architecture: 'amd64' },
      shell: ['/bin/x'],
      onbuild: ['CMD y', 'LABEL a=$A b=$B'],
    };
    const { warnings } = checkDockerfile(parseDockerfile('FROM a\nCMD x\nLABEL a=$A\n'), { bases: [base] });
    assert.deepEqual(
      warnings.map(({ rule, location }) => [rule, location.line]),
      [
        ['UndefinedVar', 1],
        ['MultipleInstructionsDisallowed', 1],
      ],
    );
  });

  it('an ENV is back in the stage above one where an ARG hid it', () => {
    const text = 'FROM a AS x\nENV V=env\nARG V=/arg\nFROM x\nWORKDIR $V\n';
    assert.deepEqual(rules(text), ['WorkdirRelativePath']);
  });

  it('takes a path with a drive for absolute in an image for Windows', () => {
    const windows = { platform: { os: 'windows', architecture: 'amd64' } };
    assert.deepEqual(rules('FROM scratch\nWORKDIR C:/x\n', windows), []);
    assert.deepEqual(rules('FROM scratch\nWORKDIR C:/x\n'), ['WorkdirRelativePath']);
    assert.deepEqual(rules('FROM scratch\nWORKDIR C:x\n', windows), ['WorkdirRelativePath']);
  });

  it('what a build would fail with ends the check', () => {
    const { error, warnings } = checkDockerfile(parseDockerfile('FROM a\nLABEL a=$X\nEXPOSE 99999\nLABEL b=$X\n'));
    assert.ok(isStrakeError(error, 'PORT_INVALID'));
    assert.equal(error.location?.line, 3);
    assert.equal(warnings.length, 1);
  });

  it('a platform that is empty or none for a misspelt variable names the one that is meant', () => {
    const { error } = checkDockerfile(parseDockerfile('FROM --platform=$BUILDPLATFROM a\n'));
    assert.match(error?.message ?? '', /BUILDPLATFROM \(did you mean BUILDPLATFORM\?\)$/);
    const partly = checkDockerfile(parseDockerfile('ARG MY_ARCH=arm\nFROM --platform=linux/$MYARCH a\n'));
    assert.match(partly.error?.message ?? '', /"linux\/" is not a platform: .* \(did you mean MY_ARCH\?\)$/);
  });

  it('errors of variables have a place', () => {
    for (const [text, code, line] of [
      ['FROM a\nLABEL x="${NO:?gone}"\n', 'EXPAND_REQUIRED', 2],
      ['ARG A\nFROM $A\n', 'PARSE_ARGUMENTS', 2],
      ['ARG A=${B:=c}\nFROM a\n', 'EXPAND_SYNTAX', 1],
      ['FROM --platform=$NO a\n', 'PARSE_ARGUMENTS', 1],
      ['FROM --platform=a/b/c/d a\n', 'PLATFORM_INVALID', 1],
      [
        'FROM a\nONBUILD NONSENSE\nFROM 0 AS b\nFROM a AS c\nONBUILD NONSENSE\nFROM c\n',
        'PARSE_UNKNOWN_INSTRUCTION',
        6,
      ],
      ['FROM a\nCOPY --from=b x y\nFROM c AS b\n', 'STAGE_ORDER', 2],
    ] as const) {
      const { error } = checkDockerfile(parseDockerfile(text));
      assert.deepEqual([error?.code, error?.location?.line], [code, line], text);
    }
  });
});
