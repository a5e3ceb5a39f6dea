import { StrakeError, type SourceLocation } from '@strake/core';
import type { Vertex } from '@strake/solver';

import type { ChainResult } from '../result.js';

/** VERTEX with errors that say which step and which lines they come from. */
export function locatedVertex(vertex: Vertex<ChainResult>, location: SourceLocation | undefined): Vertex<ChainResult> {
  const told = async <T>(task: () => Promise<T> | T): Promise<T> => {
    try {
      return await task();
    } catch (error) {
      throw error instanceof StrakeError && error.code !== 'CANCELLED'
        ? error.with({ location, step: vertex.name })
        : error;
    }
  };
  return {
    ...vertex,
    inputs: vertex.inputs.map((input) => {
      const { content } = input;
      if (!content) return input;
      return { ...input, content: { ...content, digest: (r, signal) => told(() => content.digest(r, signal)) } };
    }),
    key: (signal, context) => told(() => vertex.key(signal, context)),
    run: (inputs, context) => told(() => vertex.run(inputs, context)),
  };
}
