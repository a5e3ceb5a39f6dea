import fc from 'fast-check';

/** A file or link of a random context. */
export type RandomFile =
  | { readonly type: 'file'; readonly content: string; readonly mode: number }
  | { readonly type: 'link'; readonly target: string };

/** A stage: lines in front of which FROM is put, with the stages before it that it can take from. */
export interface RandomStage {
  readonly lines: readonly string[];
}

/** A build that is as random as its shape allows. Paths of files are relative to the context. */
export interface RandomBuild {
  readonly files: ReadonlyMap<string, RandomFile>;
  readonly ignore: readonly string[];
  readonly stages: readonly RandomStage[];
  readonly buildArgs: Readonly<Record<string, string>>;
}

const FOLDERS = ['a', 'a/sub', 'b'] as const;
const NAMES = ['f1', 'f2', 'run.sh'] as const;
/** What `.dockerignore` may hide; no COPY names anything in it. */
export const IGNORED = 'ignored';
/** What no COPY names, and `COPY .` is kept from. */
export const UNSEEN = 'unseen';

const paths = FOLDERS.flatMap((folder) => NAMES.map((name) => `${folder}/${name}`));

export const randomPath: fc.Arbitrary<string> = fc.constantFrom(...paths);
const contents = fc.constantFrom('', 'one', 'two', 'six', 'echo three\n', 'x'.repeat(5000));
const modes = fc.constantFrom(0o644, 0o644, 0o755, 0o600, 0o444);
export const randomFile: fc.Arbitrary<RandomFile> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ type: fc.constant('file' as const), content: contents, mode: modes }) },
  {
    weight: 1,
    arbitrary: fc.record({ type: fc.constant('link' as const), target: fc.constantFrom('f1', '../b', '/x') }),
  },
);

const flags = fc
  .record({
    chmod: fc.constantFrom('', '', '', '--chmod=700', '--chmod=u=rwX,go=rX'),
    chown: fc.constantFrom('', '', '', '--chown=12:34', '--chown=nobody'),
    link: fc.constantFrom('', '', '', '--link'),
    exclude: fc.constantFrom('', '', '', '--exclude=**/f2'),
  })
  .filter(({ chmod, chown, link }) => link === '' || (chmod === '' && chown !== '--chown=nobody'))
  .map((given) => Object.values(given).filter((flag) => flag !== ''));
const destination = fc.constantFrom('/w/d0/', '/w/d1/', 'rel/', '/w/d0/deep/');

const copyContext = fc
  .tuple(flags, fc.constantFrom('a', 'a/', 'b/', 'a/sub', 'a/f1', 'b/f*', 'a/f* b/f*', 'a/*/f1', '.'), destination)
  .map(([given, source, to]) => `COPY ${[...given, source, to].join(' ')}`);
const copyParents = destination.map((to) => `COPY --parents a/./*/f1 b/f? ${to}`);
const copyText = fc
  .tuple(fc.constantFrom('one', 'two', '$A1 and $E1'), fc.constantFrom('EOF', '"EOF"'))
  .map(([text, end]) => `COPY <<${end} /w/text\n${text}\nEOF`);
const copyStage = (from: string): fc.Arbitrary<string> =>
  fc
    .tuple(flags, fc.constantFrom('/w/', '/w/d0*', '/w/sum*', '/w/e*'), destination)
    .map(([given, source, to]) => `COPY --from=${from} ${[...given, source, to].join(' ')}`);

/** Prints names, modes, owners and contents below a folder, without times. */
const survey = (folder: string): string =>
  `find ${folder} | sort | xargs stat -c '%n %f %u %g' 2>/dev/null; find ${folder} -type f | sort | xargs -r sha256sum 2>/dev/null`;
const runs = fc.constantFrom(
  `RUN (${survey('/w')}) > /tmp/sum; cp /tmp/sum /w/sum1 || true; rm -f /tmp/sum`,
  `RUN <<EOF\n${survey('/w')} > /tmp/sum\nmv /tmp/sum /w/sum2 || rm /tmp/sum\nEOF`,
  'RUN env | grep -v ^HOSTNAME | sort > /w/env || true',
  'RUN rm -rf /w/d0/f1 /w/rel; true',
  // What looks at files, or writes and takes back, leaves an empty layer, which many steps have in common.
  'RUN true',
  'RUN touch /w/d0/x && rm /w/d0/x; true',
  'RUN for f in /w/d0/* /w/d1/*; do chmod $(stat -c %a $f) $f; done; true',
  'RUN chmod 700 /w/d0/f* || true',
  'RUN ln -s d0 /w/l0 || true',
  'RUN ln /w/d0/f1 /w/hard || true',
  'RUN [ -e /w/d1/run.sh ] && sh /w/d1/run.sh > /w/ran; true',
  'RUN --mount=type=cache,target=/c echo $A1 >> /c/log; echo $A1 > /w/cached || true',
  'RUN --mount=type=tmpfs,target=/t touch /t/x; ls /t > /w/tmpfs || true',
);
const runMount = fc
  .constantFrom('a', 'b', 'a/f1', 'a/sub')
  .map((source) => `RUN --mount=type=bind,source=${source},target=/m (${survey('/m')}) > /w/mount || true`);
const runStageMount = (from: string): fc.Arbitrary<string> =>
  fc
    .constantFrom('', ',source=/w', ',source=/w/d0')
    .map((source) => `RUN --mount=type=bind,from=${from}${source},target=/m (${survey('/m/')}) > /w/from || true`);
const metadata = fc.constantFrom(
  'ARG A1',
  'ARG A1=default',
  'ARG A2=two',
  'ENV E1=$A1-$A2',
  'ENV E2="a b"',
  'WORKDIR /w/sub',
  'WORKDIR deeper',
  'LABEL l=$A1',
  'USER 12:34',
  'USER root',
  'SHELL ["/bin/sh", "-e", "-c"]',
);

const line = (stages: readonly string[]): fc.Arbitrary<string> =>
  fc.oneof(
    { weight: 4, arbitrary: copyContext },
    { weight: 1, arbitrary: copyParents },
    { weight: 1, arbitrary: copyText },
    { weight: 5, arbitrary: runs },
    { weight: 2, arbitrary: runMount },
    { weight: 3, arbitrary: metadata },
    ...stages.map((stage) => ({ weight: 2, arbitrary: copyStage(stage) })),
    ...stages.map((stage) => ({ weight: 1, arbitrary: runStageMount(stage) })),
  );

const stage = (before: readonly string[]): fc.Arbitrary<RandomStage> =>
  fc
    .tuple(
      fc.constantFrom('busybox', ...before),
      fc.array(line(before), { minLength: 1, maxLength: before.length === 0 ? 6 : 4 }),
    )
    .map(([base, lines]) => ({ lines: [`FROM ${base} AS s${before.length}`, 'WORKDIR /w', ...lines] }));

const allFiles = fc
  .uniqueArray(fc.tuple(randomPath, randomFile), { selector: ([path]) => path, minLength: 4, maxLength: 9 })
  .map((some) => {
    const files = new Map<string, RandomFile>(some);
    // So that most sources exist.
    for (const path of ['a/f1', 'a/sub/f1', 'b/f1', `${IGNORED}/f`, `${UNSEEN}/f`]) {
      if (!files.has(path)) files.set(path, { type: 'file', content: path, mode: 0o644 });
    }
    return files;
  });

export const randomBuild: fc.Arbitrary<RandomBuild> = fc.record({
  files: allFiles,
  ignore: fc.constantFrom<string[][]>(
    [IGNORED, UNSEEN, '.dockerignore'],
    [IGNORED, UNSEEN, '.dockerignore', '**/run.sh'],
    ['*', '!a', '!b', 'a/sub'],
  ),
  stages: fc.oneof(
    fc.tuple(stage([])),
    fc.tuple(stage([]), stage(['s0'])),
    fc.tuple(stage([]), stage(['s0']), stage(['s0', 's1'])),
  ),
  buildArgs: fc.constantFrom<Record<string, string>[]>({}, { A1: 'given' }, { A1: 'given', A2: 'other' }),
});

/** The Dockerfile of a build. */
export function dockerfileOf({ stages }: RandomBuild): string {
  return `${stages.flatMap(({ lines }) => lines).join('\n')}\n`;
}

/** A change of a build's input. */
export type RandomEdit =
  /** Writes other content; of the same size and with the old times, where SILENT. */
  | { readonly kind: 'content'; readonly path: string; readonly text: string; readonly silent: boolean }
  | { readonly kind: 'mode'; readonly path: string; readonly mode: number }
  | { readonly kind: 'rename'; readonly path: string; readonly to: string }
  | { readonly kind: 'put'; readonly path: string; readonly file: RandomFile }
  | { readonly kind: 'remove'; readonly path: string }
  | { readonly kind: 'folder mode'; readonly path: string; readonly mode: number }
  | { readonly kind: 'ignore'; readonly lines: readonly string[] }
  | { readonly kind: 'argument'; readonly name: string; readonly value: string }
  /** Puts a line into a stage (numbers count modulo what is there), or takes one out. */
  | { readonly kind: 'line'; readonly stage: number; readonly at: number; readonly line: string | undefined };

export const randomEdit: fc.Arbitrary<RandomEdit> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('content' as const),
      path: randomPath,
      text: fc.constantFrom('new', 'old', 'echo other\n'),
      silent: fc.boolean(),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('mode' as const), path: randomPath, mode: modes }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('rename' as const), path: randomPath, to: randomPath }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('put' as const), path: randomPath, file: randomFile }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('remove' as const), path: randomPath }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('folder mode' as const),
      path: fc.constantFrom(...FOLDERS),
      mode: fc.constantFrom(0o700, 0o755, 0o1777),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('ignore' as const),
      lines: fc.constantFrom([IGNORED, UNSEEN, 'a/f*'], [IGNORED, UNSEEN, 'b', '!b/f1'], [UNSEEN]),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('argument' as const),
      name: fc.constantFrom('A1', 'A2'),
      value: fc.constantFrom('v1', 'v2'),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('line' as const),
      stage: fc.nat(2),
      at: fc.nat(5),
      line: fc.option(fc.oneof(copyContext, runs, metadata), { nil: undefined }),
    }),
  },
);

/** An edit that no step can see. */
export type UnseenEdit =
  | { readonly kind: 'touch'; readonly path: string; readonly seconds: number }
  /** A file that is ignored, or that no COPY names. */
  | { readonly kind: 'unseen'; readonly folder: typeof IGNORED | typeof UNSEEN; readonly text: string }
  /** The same files, each a new one, in another order, in another folder. */
  | { readonly kind: 'moved'; readonly seed: number }
  | { readonly kind: 'unused argument'; readonly value: string }
  | { readonly kind: 'comment'; readonly at: number }
  /** Lower case, blanks at both ends, a line in two. */
  | { readonly kind: 'spelling'; readonly at: number }
  | { readonly kind: 'unreachable stage' }
  | { readonly kind: 'label'; readonly value: string }
  | { readonly kind: 'surroundings'; readonly umask: number; readonly timeZone: string };

export const unseenEdit: fc.Arbitrary<UnseenEdit> = fc.oneof(
  fc.record({ kind: fc.constant('touch' as const), path: randomPath, seconds: fc.integer({ min: 1.6e9, max: 2e9 }) }),
  fc.record({
    kind: fc.constant('unseen' as const),
    folder: fc.constantFrom(IGNORED, UNSEEN),
    text: fc.string({ maxLength: 9 }),
  }),
  fc.record({ kind: fc.constant('moved' as const), seed: fc.nat(1000) }),
  fc.record({ kind: fc.constant('unused argument' as const), value: fc.constantFrom('x', 'y') }),
  fc.record({ kind: fc.constant('comment' as const), at: fc.nat(9) }),
  fc.record({ kind: fc.constant('spelling' as const), at: fc.nat(9) }),
  fc.record({ kind: fc.constant('unreachable stage' as const) }),
  fc.record({ kind: fc.constant('label' as const), value: fc.constantFrom('x', 'y') }),
  fc.record({
    kind: fc.constant('surroundings' as const),
    umask: fc.constantFrom(0o077, 0o027, 0o000),
    timeZone: fc.constantFrom('Asia/Tokyo', 'America/New_York'),
  }),
);
