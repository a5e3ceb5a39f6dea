import type { Renderer } from './display.js';

/** Shows nothing. */
export const QUIET: Renderer = {
  interval: 0,
  restore: '',
  event: () => '',
  tick: () => '',
  end: () => '',
  showsTail: () => false,
};
