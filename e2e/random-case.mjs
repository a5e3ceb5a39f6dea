// Random small builds for random-side-by-side.mjs (a Dockerfile, shell lines that make its context, options) and Dockerfiles for
// random-check.mjs. What Strake does otherwise on purpose (README.md) is not generated: unknown names in --chown, attributes of files.
// The words are in random-words.txt.
import { readFileSync } from 'node:fs';

/** Lists of words by name: two blanks stand between words, which may hold one. */
const WORDS = Object.fromEntries(
  readFileSync(new URL('random-words.txt', import.meta.url), 'utf8')
    .split(/^\[(?=[A-Z_]+\]$)/m)
    .slice(1)
    .map((section) => {
      const [name, ...lines] = section.split('\n');
      const words = lines.filter((line) => line !== '').flatMap((line) => line.split('  '));
      return [name.slice(0, -1), words.map((word) => (word === '<nothing>' ? '' : word))];
    }),
);

/** What earlier steps leave for later ones to meet. */
const SCENE = [
  'mkdir -p t/dir/sub t/own t/empty && echo file > t/file && echo deep > t/dir/sub/f && echo old > t/dir/f',
  'ln -s dir t/ldir && ln -s file t/lfile && ln -s /t/nowhere t/dang && ln -s loop t/loop && ln -s ../.. t/up && ln -s /t/dir t/adir',
  'ln -s ldir/sub t/chain && ln t/file t/hard && chmod 700 t/own && chmod 2775 t/dir && chmod 4711 t/file && chown 5:6 t/own',
  'chgrp 7 t/dir && mkdir -m 1770 t/dir/more && mkfifo -m 600 t/dir/pipe && echo s > t/dir/more/s && chown -h 8:9 t/ldir && chown 0:3 t/dir/f',
  ...(isMachineRoot() ? ['mknod -m 640 t/dir/null c 1 3 && mknod t/zero c 1 5'] : []),
  'find t -exec touch -h -d @1700000000 {} + && touch -d @1000000000 t/file t/own t/empty t/dir/sub',
];
const BAD_OWNERS = ['1:2:3', '-1', ':5'];

/** Whether this process may make device nodes: no root of a user namespace may. */
function isMachineRoot() {
  return process.getuid() === 0 && /^ *0 +0 +4294967295$/m.test(readFileSync('/proc/self/uid_map', 'utf8'));
}

/** A build of SEED: dockerfile, setup, options, and where it has them output, context and stdin. The same seed, the same build. */
export function randomCase(seed) {
  const r = new Chance(seed);
  const setup = contextLines(r);
  const made = dockerfile(r);
  const options = optionsOf(r, made.stages);
  const epoch = options.some((option) => /^SOURCE_DATE_EPOCH=\d/.test(option));
  const output = epoch && r.is(0.5) ? { output: 'rewrite-timestamp=true' } : {};
  const sent = r.is(0.06) ? { context: '-', stdin: 'cp ../Dockerfile . && tar --sort=name -c .' } : {};
  return { dockerfile: made.text, setup, options, ...output, ...sent };
}

/** A Dockerfile of SEED with what lint may find. */
export function randomLintFile(seed) {
  const r = new Chance(seed);
  const line = () => r.pick(WORDS.LINT_LINES).replaceAll('\\n', '\n');
  const lines = r.is(0.5) ? dockerfile(r).text.trimEnd().split('\n') : ['FROM busybox'];
  const first = lines.findIndex((text) => /^from/i.test(text));
  for (const text of r.some(0, 5, line)) lines.splice(first + 1 + r.below(lines.length - first), 0, text);
  for (const stage of r.some(0, 2, () => r.pick(WORDS.LINT_STAGES))) lines.push(stage, ...r.some(0, 2, line));
  lines.unshift(...r.some(0, 2, () => r.pick(WORDS.LINT_HEADS)));
  return `${lines.join('\n')}\n`;
}

/** Random choices from a seed (a 32-bit generator by Weyl sequence and mixing). */
class Chance {
  #state;
  constructor(seed) {
    this.#state = Math.imul(seed + 1, 0x9e3779b9) >>> 0;
  }
  next() {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }
  below(n) {
    return Math.floor(this.next() * n);
  }
  pick(list) {
    return list[this.below(list.length)];
  }
  is(probability) {
    return this.next() < probability;
  }
  /** Between LEAST and MOST picks by MAKE. */
  some(least, most, make) {
    return Array.from({ length: least + this.below(most - least + 1) }, (_, n) => make(n));
  }
}

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

function contextLines(r) {
  const lines = [`mkdir -p ${WORDS.FOLDERS.map(quoted).join(' ')}`];
  const folders = ['.', ...WORDS.FOLDERS];
  const files = [
    'f',
    'a/f',
    'a/b/f',
    'a/b/c/f',
    'd/f',
    'a/sp ace',
    ...WORDS.NAMES.filter(() => r.is(0.9)),
    ...r.some(3, 9, () => `${r.pick(folders)}/${r.pick(WORDS.NAMES)}`),
  ];
  for (const file of files) {
    const at = quoted(`./${file}`);
    lines.push(`mkdir -p "$(dirname ${at})" && printf %s ${quoted(r.pick(['', 'one', 'two', `in ${file}`]))} > ${at}`);
    if (r.is(0.4)) lines.push(`chmod ${r.pick(WORDS.MODES)} ${at}`);
    if (r.is(0.3)) lines.push(`touch -d @${r.pick([0, 946684800, 1234567890, 1500000000]) + r.below(1e6)} ${at}`);
  }
  for (const name of ['l1', 'l2', 'a/l3', 'd/l4']) lines.push(`ln -s ${quoted(r.pick(WORDS.LINKS))} ${name}`);
  if (r.is(0.7)) lines.push('ln f hard1', 'ln f d/hard2', 'ln a/f a/b/hard3');
  if (r.is(0.15)) lines.push('mkfifo fifo a/fifo');
  lines.push(
    `(cd "$CASE" && mkdir scene && cd scene && ${SCENE.join(' && ')}) && tar -C "$CASE/scene" --sort=name -cf scene.tar t`,
  );
  lines.push('touch -d @1700000003 scene.tar', 'echo secret > "$CASE/secret"');
  lines.push(
    'mkdir -p "$CASE/nc/d" && cd "$CASE/nc" && echo n > f && echo m > d/g.txt && ln -s d l && ln f hard && chmod 700 d && cd -',
    'touch -h -d @1300000000 "$CASE"/nc/* "$CASE/nc/d/g.txt"',
  );
  if (r.is(0.1)) lines.push('printf "%s\\n" "*.txt" l > "$CASE/nc/.dockerignore"');
  for (const folder of WORDS.FOLDERS.filter(() => r.is(0.3))) {
    lines.push(`[ ! -d ${quoted(folder)} ] || chmod ${r.pick(WORDS.FOLDER_MODES)} ${quoted(folder)}`);
    if (r.is(0.5)) lines.push(`[ ! -d ${quoted(folder)} ] || touch -d @1400000000 ${quoted(folder)}`);
  }
  if (r.is(0.25)) {
    const own = r.is(0.2) ? '$CASE/Dockerfile.dockerignore' : '.dockerignore';
    const patterns = [...r.some(1, 5, () => r.pick(WORDS.IGNORES)), '!scene.tar'];
    lines.push(`printf '%s\\n' ${patterns.map(quoted).join(' ')} > "${own}"`);
  }
  return lines;
}

function dockerfile(r) {
  const stages = [];
  const lines = r.is(0.3) ? r.some(1, 2, () => r.pick(['ARG G=busybox', 'ARG A=global', 'ARG U', 'ARG V=a'])) : [];
  if (r.is(0.05)) lines.unshift('# escape=`');
  const count = 1 + (r.is(0.5) ? 1 + r.below(2) : 0);
  for (let n = 0; n < count; n++) {
    const name = r.is(0.7) ? `s${n}` : undefined;
    const before = stages.filter((stage) => stage.name);
    const parent = before.length > 0 && r.is(0.3) ? r.pick(before) : undefined;
    const base = parent ? parent.name : r.pick(WORDS.BASES);
    const stage = { name, n, shell: parent ? parent.shell : !/scratch|nc/.test(base) };
    lines.push(`FROM ${base}${name ? ` AS ${r.is(0.1) ? name.toUpperCase() : name}` : ''}`);
    if (r.is(0.8)) lines.push(`${r.is(0.5) ? 'ENV' : 'ARG'} A=value V=a E= N=3 P=/x/y.tar.gz`);
    if (!parent && r.is(0.6)) {
      if (stage.shell && r.is(0.4)) lines.push(`RUN cd / && ${SCENE.join(' && ')}`);
      else lines.push('ADD scene.tar /');
    }
    if (r.is(0.3)) lines.push(`WORKDIR ${r.pick(['/w', '/t/ldir', 'w/d', '/t/own', '/w/../v'])}`);
    lines.push(...r.some(1, 5, () => instruction(r, stage, stages)));
    stages.push(stage);
  }
  let text = `${lines.join('\n')}\n`;
  if (r.is(0.02)) text = spoiled(r, text);
  return { text, stages };
}

/** A text with one letter gone, doubled or replaced. */
function spoiled(r, text) {
  const at = r.below(text.length);
  return text.slice(0, at) + r.pick(['', text[at] + text[at], r.pick([...'"\'\\$ \n{}[]=-#<'])]) + text.slice(at + 1);
}

function instruction(r, stage, stages) {
  const roll = r.next();
  if (roll < 0.5) return copy(r, stage, stages);
  if (roll < 0.56) return heredoc(r, stage);
  if (roll < 0.68 && stage.shell) return run(r, stages);
  const made = metadata(r, stage, stages);
  if (r.is(0.05)) return made.replace(' ', ' \\\n  # a note\n  ');
  return r.is(0.05) ? made.toLowerCase() : made;
}

function flagsOf(r, stage) {
  const flags = [];
  const link = r.is(0.15);
  if (r.is(0.25))
    flags.push(
      `--chown=${r.is(0.02) ? r.pick(BAD_OWNERS) : r.pick(link || !stage.shell ? WORDS.OWNERS.slice(0, 3) : WORDS.OWNERS)}`,
    );
  if (r.is(0.3))
    flags.push(`--chmod=${r.is(0.02) ? r.pick(WORDS.BAD_MODES) : r.pick(r.is(0.5) ? WORDS.OCTALS : WORDS.SYMBOLIC)}`);
  if (link) flags.push(r.pick(['--link', '--link', '--link=true', '--link=false']));
  if (r.is(0.2)) flags.push(...r.some(1, 2, () => `--exclude=${r.pick(WORDS.EXCLUDES)}`));
  return flags;
}

function copy(r, stage, stages) {
  const flags = flagsOf(r, stage);
  const add = r.is(0.15);
  let sources = r.some(1, r.is(0.3) ? 3 : 1, () => (r.is(0.015) ? r.pick(WORDS.ODD_SOURCES) : r.pick(WORDS.SOURCES)));
  if (!add && r.is(0.2)) {
    flags.push('--parents');
    if (r.is(0.4))
      sources = sources.map((source) =>
        r.pick(['a/./b', './a/./*', 'a/b/./', '*/./f', 'a/./**/f', '**/f', 'a/b/c/./f', './d', 'a/./../d', source]),
      );
  }
  if (!add && r.is(0.3)) {
    const other = stages.length > 0 && r.is(0.85) ? r.pick(stages) : undefined;
    const from = other
      ? other.name && r.is(0.6)
        ? other.name
        : String(other.n)
      : r.is(0.02)
        ? r.pick(['nosuch/$V', '9'])
        : r.pick(['busybox', 'nc']);
    flags.push(`--from=${r.is(0.1) ? from.toUpperCase() : from}`);
    const own = { busybox: WORDS.SOURCES_OF_BASE, nc: WORDS.SOURCES_OF_CONTEXT }[from.toLowerCase()];
    sources = sources.map(() => r.pick(own && r.is(0.95) ? own : WORDS.SOURCES_OF_STAGE));
  }
  if (add && r.is(0.4)) sources = ['scene.tar'];
  if (add && r.is(0.2))
    flags.push(r.pick(['--unpack', '--unpack=false', '--unpack=true', '--checksum=sha256:0', '--keep-git-dir']));
  const last = r.is(0.015) ? r.pick(WORDS.ODD_DESTINATIONS) : r.pick(WORDS.DESTINATIONS);
  const words = [...sources, last];
  const json = r.is(0.15);
  if (json && r.is(0.5) && !flags.some((flag) => flag.startsWith('--from'))) words[0] = r.pick(WORDS.ODD_NAMES);
  return [add ? 'ADD' : 'COPY', ...flags, json ? JSON.stringify(words) : words.join(' ')].join(' ');
}

function heredoc(r, stage) {
  const end = r.pick(['EOF', '"EOF"', "'EOF'", '-EOF', '-"E O"']);
  const body = r.some(0, 3, () => r.pick(WORDS.BODIES));
  const flags = flagsOf(r, stage).filter((flag) => !flag.startsWith('--exclude'));
  const to = r.pick(WORDS.TO_OF_HEREDOC);
  return [
    `${r.pick(['COPY', 'COPY', 'ADD'])} ${[...flags, `<<${end}`, to].join(' ')}`,
    ...body,
    end.replace(/^-/, '').replace(/["']/g, ''),
  ].join('\n');
}

function run(r, stages) {
  const roll = r.next();
  if (roll < 0.5) return `RUN ${r.pick(WORDS.COMMANDS)}`;
  if (roll < 0.6) return `RUN ${JSON.stringify(['sh', '-c', r.pick(WORDS.COMMANDS)])}`;
  if (roll < 0.7)
    return `RUN <<${r.pick(['EOF', '"EOF"', '-EOF'])}\n${r.some(1, 3, () => r.pick(WORDS.COMMANDS)).join('\n')}\nEOF`;
  const from = stages.length > 0 && r.is(0.5) ? `,from=${r.pick(stages).n}` : r.is(0.2) ? ',from=nc' : '';
  const mount = r.pick([
    'type=bind,target=/m',
    `type=bind${from},target=/m`,
    `type=bind,source=${r.pick(WORDS.BIND_SOURCES)},target=/m`,
    'target=/m,rw',
    'type=bind,target=rel/m',
    'type=cache,target=/m',
    'type=cache,target=/m/$V,id=x,mode=0700,uid=3,gid=4',
    `type=cache${from},target=/m,source=${r.pick(['/t', '/', '/t/dir'])}`,
    'type=tmpfs,target=/m',
    'type=tmpfs,target=/t/dir,size=1m',
    'type=secret,id=s,target=/m/s',
    'type=secret,id=s,env=SEC',
    'type=secret,id=none',
    'type=secret,id=none,required',
    'type=secret,id=s,mode=0444,uid=1,dst=/m/s',
    'type=bind,target=/',
    'type=nosuch,target=/m',
    'type=cache',
    'type=bind,target=/t/ldir/m',
    'type=bind,target=/m,bogus=1',
    'type=tmpfs,dst=/t/file',
    'type=bind,src=f,dst=/t/lfile',
    'type=bind,src=f,dst=/m/new/f',
  ]);
  const body = r.pick(WORDS.MOUNTED_COMMANDS);
  return `RUN --mount=${mount} ${body}`;
}

/** A word of quotes, variables and letters. */
function word(r) {
  return r
    .some(1, 3, () => (r.is(0.004) ? r.pick(WORDS.BAD_OPERATORS) : r.pick(r.is(0.5) ? WORDS.OPERATORS : WORDS.TEXTS)))
    .join('');
}

function metadata(r, stage, stages) {
  const pair = (key) =>
    `${key}=${r.is(0.3) ? `"${r.pick(WORDS.OPERATORS.filter((text) => !text.includes('"')))}"` : word(r)}`;
  const key = () => r.pick(WORDS.KEYS);
  const form = (name) =>
    r.pick([
      `${name} echo ${word(r)}`,
      `${name} ["echo", ${JSON.stringify(word(r))}]`,
      `${name} []`,
      `${name}`,
      `${name} [ "x" , "y" ] `,
      `${name} ['x']`,
      `${name} ["a\\u00e9\\t"]`,
    ]);
  const made = [
    () => `ENV ${r.some(1, 3, () => pair(key())).join(' ')}`,
    () => `ENV ${r.pick(['K', 'A', '$V'])} ${word(r)} ${r.pick(WORDS.TEXTS)}`,
    () => `LABEL ${r.some(1, 2, () => pair(r.pick(WORDS.LABELS))).join(' ')}`,
    () => `LABEL ${r.pick(['l', '"a b"', 'x.y'])} ${word(r)}`,
    () => `ARG ${r.pick(['A', 'U', 'B=1', `C=${word(r)}`, 'A=x B=${A}y', 'TARGETARCH', 'V=b'])}`,
    () => `EXPOSE ${r.some(1, 2, () => r.pick(WORDS.PORTS)).join(' ')}`,
    () => `VOLUME ${r.pick(WORDS.VOLUMES)}`,
    () => `USER ${r.pick(WORDS.USERS)}`,
    () => `WORKDIR ${r.pick(WORDS.WORKDIRS)}`,
    () => `STOPSIGNAL ${r.pick(WORDS.SIGNALS)}`,
    () => `HEALTHCHECK ${r.pick(WORDS.HEALTHCHECKS)}`,
    () => form('CMD'),
    () => form('ENTRYPOINT'),
    () => `SHELL ${r.pick(['["/bin/sh", "-ec"]', '["sh","-x","-c"]', '["/bin/sh", "-c"]'])}`,
    () => `ONBUILD ${r.is(0.5) ? metadata(r, stage, stages).split('\n')[0] : copy(r, stage, [])}`,
    () => `MAINTAINER ${r.pick(['me <a@b>', '"q"', '$A'])}`,
  ];
  return r.is(0.015) ? r.pick(WORDS.WRONG) : r.pick(made)();
}

function optionsOf(r, stages) {
  const options = [];
  const last = r.pick(stages);
  if (r.is(0.12))
    options.push('--target', r.pick([last.name ?? String(last.n), (last.name ?? 's0').toUpperCase(), '0']));
  if (r.is(0.25)) options.push('--build-arg', r.pick(WORDS.BUILD_ARGS));
  if (r.is(0.1)) options.push('--label', r.pick(['l=flag', 'z=', 'a.b=x=y', 'n']));
  if (r.is(0.1))
    options.push('--build-arg', r.pick(['SOURCE_DATE_EPOCH=1000000000', 'SOURCE_DATE_EPOCH=0', 'SOURCE_DATE_EPOCH=']));
  options.push('--secret', 'id=s,src={dir}/secret', '--build-context', 'nc={dir}/nc');
  return options;
}
