import { StrakeError, type SourceLocation } from '@strake/core';
import { parseCheck } from './check-directive.js';
import { detectSyntax, findDirective } from './directives.js';
import { parserError } from './errors.js';
import { descriptionOf } from './instruction-base.js';
import { instructionOf } from './instructions.js';
import { locationOf, type SourceFile } from './source.js';
import { textWarnings } from './text-rules.js';
import { readTree, type Tree } from './tree.js';
import type { ArgInstruction, CheckDirective, Dockerfile, Stage, StageInstruction } from './types.js';

export interface ParseOptions {
  /** What the file is called in messages; default `Dockerfile`. */
  readonly file?: string | undefined;
  /** The value of the build argument BUILDKIT_DOCKERFILE_CHECK: takes the place of the `# check=` directive. */
  readonly check?: string | undefined;
}

function checkOf(source: SourceFile, override: string | undefined): CheckDirective | undefined {
  if (override !== undefined) return parseCheck(override);
  const value = findDirective(source.text, 'check');
  if (value === undefined) return undefined;
  try {
    return parseCheck(value);
  } catch (error) {
    if (!(error instanceof StrakeError)) throw error;
    const line = source.text.split('\n').findIndex((text) => /^#[^=]*check[^=]*=/i.test(text)) + 1;
    throw error.with({ location: locationOf(source, line, line) });
  }
}

/** Sorts the instructions into what stands in front of the first FROM, and the stages. */
function stagesOf(tree: Tree, source: SourceFile): Pick<Dockerfile, 'globalArgs' | 'stages'> {
  const globalArgs: ArgInstruction[] = [];
  const stages: (Stage & { readonly instructions: StageInstruction[] })[] = [];
  for (const node of tree.nodes) {
    const instruction = instructionOf({ node, source });
    if (instruction.kind === 'FROM') {
      const description = descriptionOf(instruction.comments, instruction.name);
      stages.push({ index: stages.length, from: instruction, instructions: [], description });
      continue;
    }
    const stage = stages[stages.length - 1];
    if (stage) stage.instructions.push(instruction);
    else if (instruction.kind === 'ARG') globalArgs.push(instruction);
    else {
      throw parserError(
        'PARSE_NO_STAGE',
        `no build stage in current context: ${instruction.kind} stands in front of the first FROM`,
        'Only ARG may stand in front of the first FROM.',
        instruction.location,
      );
    }
  }
  if (stages.length === 0) {
    throw parserError(
      'PARSE_NO_STAGE',
      'dockerfile contains no stages to build',
      'Add a FROM: FROM scratch begins with an empty image.',
      globalArgs[globalArgs.length - 1]?.location,
    );
  }
  return { globalArgs, stages };
}

/**
 * Parses a Dockerfile, as BuildKit understands it. Nothing is expanded; what needs no more than the text is checked, in all stages.
 * @throws StrakeError `PARSE_*`, `CHECK_INVALID`, `MOUNT_INVALID` or `EXPAND_SYNTAX`, with the place in the file
 */
export function parseDockerfile(text: string, options: ParseOptions = {}): Dockerfile {
  const source: SourceFile = { file: options.file ?? 'Dockerfile', text };
  const check = checkOf(source, options.check);
  const tree = readTree(source);
  const dockerfile: Dockerfile = {
    file: source.file,
    source: text,
    escape: tree.escape,
    syntax: detectSyntax(text),
    check,
    ...stagesOf(tree, source),
    emptyContinuations: tree.emptyContinuations,
    warnings: [],
  };
  return { ...dockerfile, warnings: textWarnings(dockerfile) };
}

/**
 * Parses an ONBUILD trigger as an image config keeps it. Its escape character is always the backslash, whatever the Dockerfile says
 * that it came from or that it fires in. LOCATION, the FROM that fires it, is where its instruction and errors are placed.
 * @throws StrakeError as `parseDockerfile`
 */
export function parseOnbuildTrigger(
  trigger: string,
  options: { readonly file?: string | undefined; readonly location?: SourceLocation | undefined } = {},
): StageInstruction {
  const source: SourceFile = { file: options.location?.file ?? options.file ?? 'Dockerfile', text: trigger };
  const { location } = options;
  try {
    const { nodes } = readTree(source);
    const [node] = nodes;
    if (!node || nodes.length !== 1) {
      throw parserError('PARSE_ONBUILD', 'onbuild trigger should be a single expression');
    }
    const instruction = instructionOf({ node, source });
    if (instruction.kind === 'FROM') {
      throw parserError('PARSE_ONBUILD', "FROM isn't allowed as an ONBUILD trigger");
    }
    if (!location) return instruction;
    const line = location.line;
    const range = { start: { line, column: 0 }, end: { line: location.endLine ?? line, column: 0 } };
    return { ...instruction, location, range };
  } catch (error) {
    if (!(error instanceof StrakeError)) throw error;
    const { hint, cause } = error;
    throw new StrakeError({
      code: error.code,
      message: `ONBUILD trigger: ${error.message}`,
      hint: hint ?? 'The trigger is stored in the base image.',
      cause,
      location,
    });
  }
}
