import { mountSource, type StageInstruction, type StageLookup } from '@strake/parser';

/**
 * The names behind `from=` of a COPY or RUN that are not those of stages, so of images or named contexts.
 * @throws StrakeError `STAGE_NOT_FOUND`, `MOUNT_INVALID`
 */
export function imagesOf(instruction: StageInstruction, lookup: StageLookup): readonly string[] {
  const isImage = (name: string | undefined, find: (name: string) => unknown): name is string =>
    name !== undefined && name !== 'scratch' && find(name) === undefined;
  switch (instruction.kind) {
    case 'COPY':
      return [instruction.from].filter((name) => isImage(name, (one) => lookup.source(one)));
    case 'RUN':
      return instruction.mounts.map(mountSource).filter((name) => isImage(name, (one) => lookup.mount(one)));
    default:
      return [];
  }
}
