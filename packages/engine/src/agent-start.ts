import { isStrakeError } from '@strake/core';

import { startAgent, type Agent, type AgentOptions } from './agent-client.js';
import type { AgentSetup } from './agent-protocol.js';
import type { EngineOptions } from './types.js';
import { findStepIds, type StepIds } from './user-ids.js';

/** What decides how an agent is started. */
export type AgentPlace = Pick<AgentSetup, 'ids' | 'namespaces' | 'isolation'>;

/**
 * Ways to start an agent, the best first; each is tried where the one before did not start. Root works as it is, everyone else in
 * a user namespace. Root without the right to make namespaces has a chroot.
 */
export function agentPlaces(isolation: AgentSetup['isolation'], ids: StepIds): readonly AgentPlace[] {
  if (ids === 'all') {
    const chroot: AgentPlace = { ids, namespaces: false, isolation: 'chroot' };
    if (isolation === 'chroot') return [chroot];
    const namespaces: AgentPlace = { ids, namespaces: true, isolation };
    return isolation === 'auto' ? [namespaces, chroot] : [namespaces];
  }
  const one: AgentPlace = { ids: 'one', namespaces: true, isolation };
  // newuidmap may be there and yet not allowed to work, as in most containers.
  return ids === 'range' ? [{ ...one, ids }, one] : [one];
}

/**
 * Starts the best agent that there can be.
 * @throws StrakeError `AGENT_UNAVAILABLE` of the first way where none works
 */
export async function startBestAgent(
  options: EngineOptions,
  agentOptions: (place: AgentPlace) => AgentOptions,
): Promise<Agent> {
  const places = agentPlaces(options.isolation ?? 'auto', findStepIds().ids);
  let failure: Error | undefined;
  for (const place of places) {
    const agent = startAgent(agentOptions(place));
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
