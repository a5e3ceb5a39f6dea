import type { ProgressEvent } from '@strake/core';

import type { BuildResult } from '../types.js';
import type { WatchedStep } from './types.js';

/** Counts the steps of one build as they are declared. */
export class StepCount {
  readonly #numbers = new Map<string, { readonly number: number; readonly name: string }>();

  take(event: ProgressEvent): void {
    if (event.type !== 'step' || event.id.startsWith('export ')) return;
    this.#numbers.set(event.id, { number: this.#numbers.size + 1, name: event.name });
  }

  /** The steps that ran, in the order of the Dockerfile; base images, which cost nothing, are not among them. */
  ran({ steps }: BuildResult): WatchedStep[] {
    const found: WatchedStep[] = [];
    for (const { id, cached } of steps) {
      const step = this.#numbers.get(id);
      if (!cached && step && !isBase(id)) found.push({ ...step, of: this.#numbers.size });
    }
    return found.sort((a, b) => a.number - b.number);
  }
}

/** Whether a step is a base image, by the ids that the builder gives. */
function isBase(id: string): boolean {
  return id.startsWith('image-');
}
