import { closest, type StrakeError } from '@strake/core';
import { didYouMean, located, parserError } from './errors.js';
import { mountSource } from './mount.js';
import { clip } from './text.js';
import type { CopyInstruction, RunInstruction, Stage, StageInstruction } from './types.js';

/** Looks up stages as the places where they are named do. Made once for a Dockerfile. */
export interface StageLookup {
  /**
   * The stage that IMAGE (expanded) of the FROM of stage NUMBER means: the last one before it of exactly that name. Undefined: an image.
   */
  base(image: string, number: number): Stage | undefined;
  /**
   * The stage that `--from` of COPY means: by index, or by name in any letter case, the last of that name in the file. Undefined: an
   * image or named context. @throws StrakeError `STAGE_NOT_FOUND` for an index that no stage has
   */
  source(from: string): Stage | undefined;
  /** The stage that `from` of `--mount` means: by name only. */
  mount(from: string): Stage | undefined;
  /** The stage to build: by name in any letter case, else the last. @throws StrakeError `STAGE_NOT_FOUND` */
  target(name: string | undefined): Stage;
}

function notFound(message: string, hint: string): StrakeError {
  return parserError('STAGE_NOT_FOUND', message, hint);
}

/** A lookup over the stages of a Dockerfile. */
export function createStageLookup(stages: readonly Stage[]): StageLookup {
  const byName = new Map<string, Stage[]>();
  for (const stage of stages) {
    if (stage.from.name === undefined) continue;
    const same = byName.get(stage.from.name);
    if (same) same.push(stage);
    else byName.set(stage.from.name, [stage]);
  }
  const last = (name: string): Stage | undefined => byName.get(name.toLowerCase())?.at(-1);
  return {
    base: (image, number) => byName.get(image)?.findLast((stage) => stage.index < number),
    source: (from) => {
      if (!/^[-+]?\d{1,18}$/.test(from)) return last(from);
      const stage = stages[Number(from)];
      if (stage) return stage;
      throw notFound(
        `invalid stage index ${Number(from)}`,
        `The Dockerfile has the stages 0 to ${stages.length - 1}; --from=${from} names none of them.`,
      );
    },
    mount: last,
    target: (name) => {
      const found = name === undefined || name === '' ? stages.at(-1) : last(name);
      if (found) return found;
      const wanted = name ?? '';
      const names = [...byName.keys()];
      throw notFound(
        `target stage "${clip(wanted, 80)}" could not be found${didYouMean(wanted.length > 40 ? undefined : closest(wanted, names))}`,
        names.length === 0
          ? 'No stage has a name: write FROM ... AS <name>.'
          : `Stages with a name: ${clip(names.join(', '))}.`,
      );
    },
  };
}

/** One way in which a stage needs another. */
export interface StageDependency {
  readonly stage: number;
  /** The COPY or RUN that names it; undefined for a FROM. */
  readonly instruction: StageInstruction | undefined;
}

/** Which stage needs which. */
export interface StageGraph {
  readonly lookup: StageLookup;
  /** The stage that each stage is built on; undefined where that is an image. */
  readonly bases: readonly (number | undefined)[];
  /** What each stage needs: its base first, then the stages its instructions name, in their order. */
  readonly dependencies: readonly (readonly StageDependency[])[];
  /**
   * The stages that TARGET needs, itself included.
   * @throws StrakeError `STAGE_ORDER` where one of them needs a stage that stands behind it
   */
  reachable(target: number): ReadonlySet<number>;
}

/** Numbers of the stages that an instruction names. @throws StrakeError `STAGE_NOT_FOUND`, `MOUNT_INVALID` */
export function stagesNamed(lookup: StageLookup, instruction: StageInstruction): readonly number[] {
  if (instruction.kind !== 'COPY' && instruction.kind !== 'RUN') return [];
  return located(instruction, () => sourcesOf(lookup, instruction));
}

function sourcesOf(lookup: StageLookup, instruction: CopyInstruction | RunInstruction): number[] {
  const found: (Stage | undefined)[] =
    instruction.kind === 'COPY'
      ? [instruction.from === undefined ? undefined : lookup.source(instruction.from)]
      : instruction.mounts.map((mount) => {
          const from = mountSource(mount);
          return from === undefined ? undefined : lookup.mount(from);
        });
  return found.filter((stage) => stage !== undefined).map((stage) => stage.index);
}

/** The first circle found, as an error at the first COPY or RUN on it. */
function checkCircles(stages: readonly Stage[], dependencies: readonly (readonly StageDependency[])[]): void {
  // 0: not seen, 1: on the path, 2: done. Iterative: a chain may be thousands of stages long.
  const state = new Uint8Array(stages.length);
  for (const { index } of stages) {
    if (state[index] !== 0) continue;
    const path: { readonly stage: number; next: number }[] = [{ stage: index, next: 0 }];
    state[index] = 1;
    while (path.length > 0) {
      const top = path[path.length - 1];
      if (!top) break;
      const dependency = dependencies[top.stage]?.[top.next++];
      if (!dependency) {
        state[top.stage] = 2;
        path.pop();
      } else if (state[dependency.stage] === 1) {
        const name = stages[dependency.stage]?.from.name ?? `stage-${dependency.stage}`;
        const circle = path.slice(path.findIndex(({ stage }) => stage === dependency.stage));
        const edges = circle.map(({ stage, next }) => dependencies[stage]?.[next - 1]?.instruction);
        throw parserError(
          'STAGE_CYCLE',
          `circular dependency detected on stage: ${name}`,
          'A stage can only use stages that do not need it themselves.',
          (edges.find((instruction) => instruction) ?? stages[top.stage]?.from)?.location,
        );
      } else if (state[dependency.stage] === 0) {
        state[dependency.stage] = 1;
        path.push({ stage: dependency.stage, next: 0 });
      }
    }
  }
}

/**
 * The graph of a Dockerfile's stages. IMAGES are the expanded names behind each FROM. INSTRUCTIONS may give more for a stage than stand
 * in the file (ONBUILD triggers).
 * @throws StrakeError `STAGE_NOT_FOUND` (a bad index, in any stage), `STAGE_CYCLE`, `MOUNT_INVALID`
 */
export function createStageGraph(
  stages: readonly Stage[],
  images: readonly string[],
  instructions: (stage: Stage) => readonly StageInstruction[] = (stage) => stage.instructions,
): StageGraph {
  const lookup = createStageLookup(stages);
  const bases = stages.map((stage) => lookup.base(images[stage.index] ?? '', stage.index)?.index);
  const dependencies = stages.map((stage) => {
    const base = bases[stage.index];
    const out: StageDependency[] = base === undefined ? [] : [{ stage: base, instruction: undefined }];
    for (const instruction of instructions(stage)) {
      for (const index of stagesNamed(lookup, instruction)) out.push({ stage: index, instruction });
    }
    return out;
  });
  checkCircles(stages, dependencies);
  return {
    lookup,
    bases,
    dependencies,
    reachable: (target) => {
      const seen = new Set([target]);
      for (const index of seen) {
        for (const { stage, instruction } of dependencies[index] ?? []) {
          if (stage > index) throw stageOrderError(stages, index, stage, instruction);
          seen.add(stage);
        }
      }
      return seen;
    },
  };
}

/** The error of a stage that needs one behind it, at INSTRUCTION. */
export function stageOrderError(
  stages: readonly Stage[],
  user: number,
  used: number,
  instruction: StageInstruction | undefined,
): StrakeError {
  const name = (index: number): string => stages[index]?.from.name ?? `stage-${index}`;
  const verb = instruction?.kind === 'RUN' ? 'mount' : 'copy';
  return parserError(
    'STAGE_ORDER',
    `cannot ${verb} from stage "${name(used)}", it needs to be defined before current stage "${name(user)}"`,
    `Move the stage ${name(used)} in front of ${name(user)}.`,
    instruction?.location,
  );
}
