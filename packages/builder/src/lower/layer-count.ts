import { builderError } from '../errors.js';
import type { StageState } from './stage-state.js';

/** Layers of an image: each step looks at all below it, so their square is what a build costs. */
const MAX_LAYERS = 5000;

/** Counts one more layer of a stage. @throws StrakeError `DOCKERFILE_INVALID` where there are too many */
export function countLayer(state: StageState): void {
  if (++state.layers > MAX_LAYERS) {
    throw builderError('DOCKERFILE_INVALID', `too many layers: an image may have ${MAX_LAYERS}`, {
      hint: 'Docker itself runs no image of more than 127. Join steps: one RUN for several commands, one COPY for several files.',
    });
  }
}
