import assert from 'node:assert/strict';
import { isStrakeError } from '@strake/core';
import { createStageGraph, listTargets, outline, parseDockerfile, parseOnbuildTrigger } from '../src/index.js';

function graphOf(text: string): ReturnType<typeof createStageGraph> {
  const { stages } = parseDockerfile(text);
  return createStageGraph(
    stages,
    stages.map((stage) => stage.from.image),
  );
}

describe('stages', () => {
  const text = [
    'FROM busybox AS One',
    'FROM one AS two',
    'FROM One',
    'COPY --from=ONE a b',
    'RUN --mount=from=two,target=/x true',
    'COPY --from=0 a b',
    'COPY --from=nginx a b',
  ].join('\n');

  it('names as FROM, --from, --mount and --target see them', () => {
    const graph = graphOf(text);
    const { lookup, bases, dependencies } = graph;
    assert.deepEqual(bases, [undefined, 0, undefined]);
    assert.deepEqual(
      dependencies[2]?.map(({ stage }) => stage),
      [0, 1, 0],
    );
    assert.deepEqual([...graph.reachable(2)].sort(), [0, 1, 2]);
    assert.equal(lookup.source('nginx'), undefined);
    assert.equal(lookup.mount('0'), undefined);
    assert.equal(lookup.target('TWO').index, 1);
    assert.equal(lookup.target(undefined).index, 2);
  });

  it('of two stages of one name the last counts, in FROM the last before', () => {
    const { lookup, bases } = graphOf('FROM a AS x\nFROM x AS x\nFROM x\n');
    assert.deepEqual(bases, [undefined, 0, 1]);
    assert.equal(lookup.source('x')?.index, 1);
  });

  const bad: readonly (readonly [string, string, string])[] = [
    ['FROM a\nCOPY --from=7 a b\nFROM b\n', 'STAGE_NOT_FOUND', 'invalid stage index 7'],
    ['FROM a AS me\nCOPY --from=me a b\n', 'STAGE_CYCLE', 'circular dependency detected on stage: me'],
    ['FROM a AS x\nCOPY --from=y a b\nFROM x AS y\n', 'STAGE_CYCLE', 'circular dependency'],
  ];
  for (const [source, code, message] of bad) {
    it(message, () => {
      assert.throws(
        () => graphOf(source),
        (e) => isStrakeError(e, code) && e.message.includes(message) && e.location?.line === 2,
      );
    });
  }

  it('a later stage is an error for those who need it', () => {
    const graph = graphOf('FROM a AS x\nCOPY --from=later a b\nFROM b AS later\nFROM c\n');
    assert.deepEqual([...graph.reachable(2)], [2]);
    assert.throws(
      () => graph.reachable(0),
      (e) => isStrakeError(e, 'STAGE_ORDER') && e.message.includes('"later"'),
    );
  });

  it('an unknown target gets a suggestion', () => {
    const { lookup } = graphOf('FROM a AS release\nFROM b AS debug\n');
    assert.throws(
      () => lookup.target('relaese'),
      (e) => isStrakeError(e, 'STAGE_NOT_FOUND') && e.message.includes('did you mean release?'),
    );
    assert.throws(
      () => lookup.target('0'),
      (e) => isStrakeError(e, 'STAGE_NOT_FOUND'),
    );
  });
});

describe('parseOnbuildTrigger', () => {
  const location = { file: 'D', line: 4, endLine: 4 };
  it('is placed at the FROM that fires it', () => {
    const instruction = parseOnbuildTrigger('run <<EOF\nx\nEOF', { location });
    assert.equal(instruction.kind, 'RUN');
    assert.deepEqual(instruction.location, location);
  });
  for (const trigger of ['FROBNICATE all', 'FROM x', 'RUN a\nRUN b', '']) {
    it(`${JSON.stringify(trigger)} is an error`, () => {
      assert.throws(
        () => parseOnbuildTrigger(trigger, { location }),
        (e) => isStrakeError(e) && e.location === location,
      );
    });
  }
});

describe('outline', () => {
  const dockerfile = parseDockerfile(
    [
      'ARG name=box',
      'ARG unused=x',
      '# suffix of the image',
      'ARG suffix="y${name}"',
      'FROM bus${suffix} AS first',
      '# FOO is a number',
      'ARG FOO=1',
      'RUN --mount=type=secret,id=key${FOO},required --mount=type=ssh true',
      'FROM scratch AS other',
      'ARG NOT=seen',
      '# target is the one',
      'FROM first AS target',
      'ARG BAR',
      'COPY --from=0 a b',
    ].join('\n'),
  );

  it('lists what the target uses', () => {
    const found = outline(dockerfile, { target: 'target', buildArgs: new Map([['FOO', '7']]) });
    assert.equal(found.name, 'target');
    assert.equal(found.description, 'is the one');
    assert.deepEqual(
      found.args?.map(({ name, value, description, location }) => [
        name,
        value,
        description,
        location.ranges[0]?.start.line,
      ]),
      [
        ['name', 'box', undefined, 1],
        ['suffix', 'ybox', 'of the image', 4],
        ['FOO', '7', 'is a number', 7],
        ['BAR', undefined, undefined, 13],
      ],
    );
    assert.deepEqual(
      found.secrets?.map(({ name, required }) => [name, required]),
      [['key7', true]],
    );
    assert.deepEqual(
      found.ssh?.map(({ name, required }) => [name, required]),
      [['default', undefined]],
    );
  });

  it('has the form of BuildKit in JSON', () => {
    const { targets } = JSON.parse(JSON.stringify(listTargets(dockerfile))) as { targets: unknown[] };
    assert.deepEqual(targets[2], {
      name: 'target',
      default: true,
      description: 'is the one',
      base: 'first',
      location: { ranges: [{ start: { line: 12 }, end: { line: 12 } }] },
    });
  });
});
