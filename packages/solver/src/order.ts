import type { Vertex } from './types.js';

/**
 * TARGET and what it stands on, as far as KNOWN does not have it, inputs before what needs them. What is found out of each vertex
 * from its inputs is found out in this order: a call for an input from within a call would need a stack as deep as the graph,
 * and a Dockerfile may have any number of steps.
 */
export function inputsFirst<R>(target: Vertex<R>, known: { has(vertex: Vertex<R>): boolean }): Vertex<R>[] {
  const ordered = new Set<Vertex<R>>();
  const open = [target];
  const entered = new Set<Vertex<R>>();
  for (let vertex = open.at(-1); vertex; vertex = open.at(-1)) {
    if (entered.has(vertex) || known.has(vertex)) {
      open.pop();
      if (!known.has(vertex)) ordered.add(vertex);
      continue;
    }
    entered.add(vertex);
    for (let i = vertex.inputs.length - 1; i >= 0; i--) {
      const input = vertex.inputs[i]?.vertex;
      if (input && !entered.has(input)) open.push(input);
    }
  }
  return [...ordered];
}
