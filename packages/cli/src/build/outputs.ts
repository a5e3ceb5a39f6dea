import path from 'node:path';
import type { OutputSpec } from '@strake/engine';
import { choice, csvFields, csvPairs, emptyRecord } from '../args/values.js';
import { outputToTerminal, usage } from '../errors.js';

const TYPES = ['image', 'registry', 'oci', 'docker', 'local', 'tar', 'cacheonly'] as const;
const ARCHIVES: ReadonlySet<string> = new Set(['oci', 'docker', 'tar']);

export interface OutputFlags {
  readonly output: readonly string[];
  readonly push: boolean;
  readonly load: boolean;
}

function parseOutput(text: string): OutputSpec {
  const fields = csvFields(text, '--output');
  if (fields.length === 1 && fields[0] === text && !text.startsWith('type=')) {
    if (text === '-') return { type: 'tar', attributes: { dest: '-' } };
    return { type: 'local', attributes: { dest: text } };
  }
  const attributes = emptyRecord();
  let type: OutputSpec['type'] | undefined;
  for (const [key, value] of csvPairs(text, '--output')) {
    if (key === 'type') type = choice(value, TYPES, '--output type');
    else attributes[key] = value;
  }
  if (type === undefined) throw usage('--output: the type is missing', 'Write it like type=oci,dest=image.tar.');
  return { type, attributes };
}

/**
 * `--output`, `--push` and `--load` together, in the order given. No outputs: the default, an image in the local store. An empty one,
 * as of a script whose variable is empty, is none, as in buildx.
 * Destinations are made absolute; `-` is standard output, which is also where oci and tar go without a destination.
 * @throws StrakeError `USAGE`, `OUTPUT_TO_TERMINAL`
 */
export function outputsOf(flags: OutputFlags, where: { cwd: string; stdoutIsTerminal: boolean }): OutputSpec[] {
  let streams = 0;
  const given = flags.output.filter((text) => text !== '');
  const outputs = given.map((text): OutputSpec => {
    const { type, attributes } = parseOutput(text);
    let dest = attributes['dest'];
    if (type === 'local' && (dest === undefined || dest === '' || dest === '-')) {
      throw usage('--output type=local needs a folder', 'Write it like type=local,dest=DIR.');
    }
    // buildx loads `type=docker` without a destination into the daemon; here the local store takes its place
    if (type === 'docker' && !dest) return { type: 'image', attributes };
    if (ARCHIVES.has(type) && !dest) dest = '-';
    if (dest === undefined) return { type, attributes };
    if (dest === '-') {
      if (attributes['tar'] === 'false') throw usage(`--output type=${type},tar=false needs a folder as dest`);
      if (where.stdoutIsTerminal) throw outputToTerminal(type);
      if (++streams > 1) throw usage('only one output can go to standard output');
    } else dest = path.resolve(where.cwd, dest);
    return { type, attributes: Object.assign(emptyRecord(), attributes, { dest }) };
  });
  const image = outputs.findIndex((output) => output.type === 'image');
  const first = outputs[image];
  if (flags.push) {
    if (first)
      outputs[image] = { type: 'image', attributes: Object.assign(emptyRecord(), first.attributes, { push: 'true' }) };
    else if (!outputs.some((output) => output.type === 'registry')) outputs.push({ type: 'registry', attributes: {} });
  }
  if (flags.load && !first) outputs.push({ type: 'image', attributes: {} });
  return outputs;
}
