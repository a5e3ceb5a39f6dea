import { IdleMemory, type WatchEvent, type WatchRun } from '@strake/engine';
import { engineOptions } from '../args/engine-flags.js';
import { ignoredFlags, type Arguments, type Flag } from '../args/parse.js';
import { count } from '../args/values.js';
import { BUILD_FLAGS } from '../build/flags.js';
import { buildOptions } from '../build/options.js';
import type { Command } from '../command.js';
import { usage } from '../errors.js';
import { writeLine, type Io } from '../io.js';
import { progressKind } from '../progress/choose.js';
import { jsonLine } from '../watch/json.js';
import { WatchView } from '../watch/view.js';

/** Flags of a build that make no sense again and again. */
const ONCE = new Set(['check', 'call', 'print', 'iidfile', 'metadata-file', 'explain', 'json', 'trace', 'timeline']);

const FLAGS: readonly Flag[] = [
  { name: 'run', kind: 'boolean', help: 'Run the image; each new one takes the place of the one before' },
  {
    name: 'sync',
    kind: 'boolean',
    help: 'Like --run, but put changed files into the running container where no RUN uses them',
  },
  { name: 'restart', kind: 'boolean', help: 'With --sync: start a new container all the same' },
  { name: 'verify', kind: 'boolean', help: 'With --sync: compare the container with the image each time' },
  { name: 'exec', kind: 'string', value: 'LINE', help: 'Shell line to run on this machine after each new image' },
  {
    name: 'debounce',
    kind: 'string',
    value: 'MS',
    help: 'Silence after the last save before a result is used (default: 30)',
  },
  { name: 'stop-timeout', kind: 'string', value: 'SECONDS', help: 'Time between stop signal and kill (default: 10)' },
  { name: 'env', short: 'e', kind: 'list', value: 'NAME[=VALUE]', help: 'Variable of the container' },
  { name: 'json', kind: 'boolean', help: 'An event a line as JSON on standard output' },
  ...BUILD_FLAGS.filter(({ name }) => !ONCE.has(name)),
];

/** How often the state's line is drawn anew while something is built: milliseconds. */
const TICK = 100;

function display(args: Arguments, io: Io): { event(event: WatchEvent): void; end(): void } {
  const kind = progressKind(args, io);
  if (args.boolean('json') || kind === 'rawjson') {
    return { event: (event) => io.stdout.write(jsonLine(event)), end: () => undefined };
  }
  const { NO_COLOR, TERM } = io.env;
  const terminal = kind === 'tty';
  const view = new WatchView({
    terminal,
    colors: io.stderr.isTerminal && !NO_COLOR && TERM !== 'dumb',
    columns: () => io.stderr.size().columns,
    debug: Boolean(io.env['STRAKE_DEBUG']),
    clock: (time) => new Date(time).toTimeString().slice(0, 8),
  });
  const put = (text: string): void => {
    if (text !== '') io.stderr.write(text);
  };
  const timer = terminal ? setInterval(() => put(view.tick(io.now())), TICK) : undefined;
  timer?.unref();
  return {
    event: (event) => put(view.event(event)),
    end: () => {
      clearInterval(timer);
      put(view.end());
    },
  };
}

function runOptions(args: Arguments, command: readonly string[], io: Io): WatchRun | undefined {
  const sync = args.boolean('sync');
  const needsSync = ['restart', 'verify'].find((name) => args.boolean(name) && !sync);
  if (needsSync !== undefined) throw usage(`--${needsSync} only says something with --sync`);
  if (!args.boolean('run') && !sync) {
    if (command.length > 0) throw usage('a command to run needs --run', 'strake watch . --run -- COMMAND');
    return undefined;
  }
  const timeout = args.string('stop-timeout');
  return {
    command: command.length > 0 ? command : undefined,
    env: args.list('env').flatMap((word) => {
      if (word.includes('=')) return [word];
      const value = io.env[word];
      return value === undefined ? [] : [`${word}=${value}`];
    }),
    sync,
    restart: args.boolean('restart'),
    verify: args.boolean('verify'),
    grace: timeout === undefined ? undefined : count(timeout, '--stop-timeout') * 1000,
  };
}

async function run(args: Arguments, io: Io): Promise<number> {
  const [context = '', ...command] = args.positionals;
  const surroundings = { cwd: io.cwd, env: io.env, stdoutIsTerminal: io.stdout.isTerminal };
  const build = buildOptions(args.withPositionals(context === '' ? [] : [context]), surroundings);
  const debounce = args.string('debounce');
  const options = {
    build,
    debounce: debounce === undefined ? undefined : count(debounce, '--debounce'),
    exec: args.string('exec'),
    run: runOptions(args, command, io),
  };
  const store = engineOptions(args);
  for (const line of ignoredFlags(args, FLAGS)) writeLine(io.stderr, `warning: ${line}`);
  const engine = await io.createEngine(store);
  const shown = display(args, io);
  const memory = new IdleMemory();
  const onEvent = (event: WatchEvent): void => {
    if (event.type === 'building') memory.busy();
    if (event.type === 'watching') memory.idle();
    shown.event(event);
  };
  try {
    const watch = await io.watch();
    await watch({ ...options, engine, signal: io.signal, onEvent });
    return 0;
  } finally {
    memory.busy();
    shown.end();
    await engine.close();
  }
}

export const watchCommand: Command = {
  usage: 'watch [OPTIONS] CONTEXT [-- COMMAND [ARGUMENT...]]',
  about:
    'Builds, watches what the build read, and builds again as files are saved. With --run the image runs meanwhile. Ctrl-C ends it.',
  flags: FLAGS,
  run,
};
