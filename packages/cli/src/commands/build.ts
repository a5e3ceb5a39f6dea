import { isStrakeError, StrakeError, type ProgressEvent } from '@strake/core';
import type { BuildOptions, BuildResult, Engine, StepReport } from '@strake/engine';
import { engineOptions } from '../args/engine-flags.js';
import { ignoredFlags, type Arguments } from '../args/parse.js';
import { BUILD_FLAGS } from '../build/flags.js';
import { buildOptions, callOf, type Call } from '../build/options.js';
import { prepareResultFile, writeResultFile } from '../build/result-file.js';
import type { Command } from '../command.js';
import { usage } from '../errors.js';
import { writeLine, type Io } from '../io.js';
import { jsonText, writeJson } from '../print/json.js';
import { imageId, summary, warningLines } from '../print/summary.js';
import { progressKind } from '../progress/choose.js';
import { createRenderer, startDisplay, type ProgressKind, type Renderer } from '../progress/display.js';
import type { Warning } from '../progress/state.js';
import { harmlessLines } from '../progress/text.js';
import { recordingOf } from '../repeat/recording.js';
import type { RecordedBuild } from '../timeline/record.js';

async function call(
  engine: Engine,
  { method, json, ignoreStatus }: Call,
  options: BuildOptions,
  io: Io,
): Promise<number> {
  const result = await engine.call(method, options);
  const text = json ? jsonText(result.json, 2) : harmlessLines(result.text);
  io.stdout.write(text === '' || text.endsWith('\n') ? text : `${text}\n`);
  if (!json && result.error !== undefined) io.stderr.write(harmlessLines(result.error));
  return ignoreStatus ? 0 : result.exitCode;
}

function report(result: BuildResult, args: Arguments, io: Io): void {
  const id = imageId(result);
  const iidfile = args.string('iidfile') || undefined;
  const metadataFile = args.string('metadata-file') || undefined;
  const made = `The build itself is done, and its result kept${id === undefined ? '' : `: ${id}`}. Only this file is missing.`;
  if (iidfile !== undefined && id !== undefined) writeResultFile(iidfile, id, io.cwd, made);
  if (metadataFile !== undefined) {
    writeResultFile(metadataFile, `${JSON.stringify(result.metadata, undefined, 2)}\n`, io.cwd, made);
  }
  if (args.boolean('quiet') && id !== undefined) writeLine(io.stdout, id);
}

/** ERROR without the step's last output where the display has just shown it. */
function withoutShownTail(error: unknown, renderer: Renderer): unknown {
  if (!isStrakeError(error) || error.step === undefined || !renderer.showsTail(error.step)) return error;
  return new StrakeError({ ...error.toFields(), cause: error.cause, outputTail: undefined });
}

/** What `--trace` and `--timeline` ask for; nothing of it is loaded without them. */
async function timelineOf(args: Arguments, options: BuildOptions, io: Io): Promise<RecordedBuild | undefined> {
  const [trace, timeline] = [args.string('trace'), args.string('timeline')];
  if (trace === undefined && timeline === undefined) return undefined;
  const { recordBuild } = await import('../timeline/record.js');
  return recordBuild({ trace, timeline }, options, io);
}

/** `--explain`, for people on standard error or with `--json` for programs on standard output. */
async function explain(steps: readonly StepReport[], args: Arguments, io: Io): Promise<void> {
  if (!args.boolean('explain')) return;
  const { explanation } = await import('../print/explanation.js');
  if (args.boolean('json')) writeJson(io.stdout, { steps });
  else io.stderr.write(explanation(steps));
}

/** As buildx: a tree of files has no id. Beside an image, which has one, it may be. */
function checkIdFile(args: Arguments, { outputs = [] }: BuildOptions): void {
  if (!args.string('iidfile') || outputs.length === 0) return;
  if (!outputs.every(({ type }) => type === 'local' || type === 'tar')) return;
  throw usage('--iidfile: local and tar exporters are incompatible with image ID file');
}

function checkJson(args: Arguments): void {
  if (!args.boolean('json')) return;
  if (!args.boolean('explain')) throw usage('--json goes with --explain', 'Write strake build --explain --json.');
  if (args.boolean('quiet')) throw usage('--quiet and --json exclude each other', 'Both write to standard output.');
}

async function buildShown(
  engine: Engine,
  options: BuildOptions,
  kind: ProgressKind,
  recorded: RecordedBuild | undefined,
  io: Io,
): Promise<BuildResult> {
  const warnings: Warning[] = [];
  const display = startDisplay(await createRenderer(kind, io), io);
  const end = (): void => {
    display.end();
    if (kind === 'plain' || kind === 'tty') io.stderr.write(warningLines(warnings));
  };
  const onEvent = (event: ProgressEvent): void => {
    if (event.type === 'warning')
      warnings.push({ rule: event.rule, message: event.message, line: event.location?.line });
    display.sink(event);
    recorded?.event(event);
  };
  try {
    const result = await engine.build({ ...options, onEvent });
    end();
    await recorded?.write(result);
    if (kind === 'plain' || kind === 'tty') writeLine(io.stderr, summary(result, options.outputs ?? []));
    return result;
  } catch (error) {
    end();
    await recorded?.write(undefined, error).catch(() => undefined); // what the build failed of is worth more
    throw withoutShownTail(error, display.renderer);
  }
}

async function run(args: Arguments, given: Io): Promise<number> {
  const recording = recordingOf(args, given);
  const io = recording?.io ?? given;
  const kind = progressKind(args, io);
  const wanted = callOf(args);
  checkJson(args);
  const wishes = buildOptions(args, { cwd: io.cwd, env: io.env, stdoutIsTerminal: io.stdout.isTerminal });
  const store = engineOptions(args);
  for (const line of ignoredFlags(args, BUILD_FLAGS)) writeLine(io.stderr, `warning: ${line}`);
  const usesStdin = wishes.context === '-' || wishes.file === '-';
  const stdin = usesStdin ? io.stdin() : undefined;
  if (stdin?.isTTY)
    throw usage('"-" reads standard input, which is the terminal', 'Redirect it from a file or a pipe.');
  let failed: readonly StepReport[] = [];
  const onFailure = (steps: readonly StepReport[]): void => void (failed = steps);
  const options: BuildOptions = {
    ...wishes,
    stdin,
    signal: io.signal,
    onFailure,
    onEvidence: recording?.onEvidence,
  };
  const engine = await io.createEngine({ ...store, once: true });
  try {
    if (wanted) return await call(engine, wanted, options, io);
    checkIdFile(args, options);
    prepareResultFile(args.string('iidfile') || undefined, true, io.cwd);
    for (const name of ['metadata-file', 'trace', 'timeline'])
      prepareResultFile(args.string(name) || undefined, false, io.cwd);
    const recorded = await timelineOf(args, options, io);
    const result = await buildShown(engine, options, kind, recorded, io);
    await explain(result.steps, args, io);
    report(result, args, io);
    await recording?.keep(options, result);
    return 0;
  } catch (error) {
    if (failed.length > 0) await explain(failed, args, io);
    throw error;
  } finally {
    await engine.close();
  }
}

export const build: Command = {
  usage: 'build [OPTIONS] CONTEXT',
  about: 'Builds an image from a Dockerfile. CONTEXT is a folder, a URL, or - for an archive or a Dockerfile on stdin.',
  flags: BUILD_FLAGS,
  run,
};
