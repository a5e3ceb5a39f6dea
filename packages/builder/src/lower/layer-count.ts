import type { SourceLocation } from '@strake/core';

import { builderError } from '../errors.js';
import type { StageState } from './stage-state.js';

/** Layers of an image: each step looks at all below it, so their square is what a build costs. */
const MAX_LAYERS = 5000;

/** Counts one more layer of a stage. @throws StrakeError `DOCKERFILE_INVALID` where there are too many, `UNSUPPORTED` where it would be of no use */
export function countLayer(state: StageState, location: SourceLocation | undefined): void {
  if (++state.layers > MAX_LAYERS) {
    throw builderError('DOCKERFILE_INVALID', `too many layers: an image may have ${MAX_LAYERS}`, {
      hint: 'Docker itself runs no image of more than 127. Join steps: one RUN for several commands, one COPY for several files.',
    });
  }
  // Windows wants layers of another form, with attributes of its own; what it finds in others it does not show.
  if (state.platform.os === 'windows' && state.base.layers > 0) {
    throw builderError('UNSUPPORTED', 'layers on an image for Windows cannot be made', {
      location,
      hint: 'Build it with BuildKit. What only changes the config (ENV, CMD, LABEL ...) works here, and so do images FROM scratch.',
    });
  }
}
