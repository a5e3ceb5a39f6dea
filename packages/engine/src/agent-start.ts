import { isStrakeError } from '@strake/core';

import { connectAgent, type Agent } from './agent-client.js';
import { agentPlaces, spawnAgent, type AgentPlace, type AgentProcess } from './agent-process.js';
import type { AgentSetup } from './agent-protocol.js';
import type { EngineOptions } from './types.js';
import { findStepIds } from './user-ids.js';

/** How agents are started. */
export interface AgentOptions {
  /** File of the agent's program. */
  readonly program: string;
  readonly inheritStdin: boolean;
  readonly setup: (place: AgentPlace) => AgentSetup;
  /** A process that was started before it was asked for: taken where it is in the right place, ended where it is not. */
  readonly early?: AgentProcess | undefined;
}

/**
 * Starts the best agent that there can be.
 * @throws StrakeError `AGENT_UNAVAILABLE` of the first way where none works
 */
export async function startBestAgent(
  { isolation = 'auto' }: EngineOptions,
  { program, inheritStdin, setup, early }: AgentOptions,
): Promise<Agent> {
  let failure: Error | undefined;
  let ready = early;
  for (const place of agentPlaces(isolation, findStepIds().ids)) {
    const suits = ready?.place.ids === place.ids && ready.place.namespaces === place.namespaces;
    if (!suits) ready?.child.kill('SIGKILL');
    const agent = connectAgent(ready && suits ? ready : spawnAgent(program, place, inheritStdin), setup(place));
    ready = undefined;
    try {
      await agent.hello();
      agent.passedOver = failure;
      return agent;
    } catch (error) {
      if (!isStrakeError(error, 'AGENT_UNAVAILABLE')) throw error;
      failure ??= error;
    }
  }
  throw failure ?? new Error('there is no way to start an agent');
}
