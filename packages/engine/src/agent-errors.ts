import { errnoOf, StrakeError } from '@strake/core';

import { moreIdsHint, type StepIds } from './user-ids.js';

/** An agent that had worked is gone. */
export function agentEnded(why: string, cause?: unknown): StrakeError {
  return new StrakeError({
    code: 'AGENT_ENDED',
    message: `the process that runs steps ended: ${why}`,
    hint: 'Run strake doctor to see what this machine allows.',
    cause,
  });
}

/** An agent could not be started at all. WHY: what unshare(1), newuidmap(1) or setpriv(1) said of it. */
export function agentUnavailable(ids: StepIds, why: string, cause?: unknown): StrakeError {
  return new StrakeError({
    code: 'AGENT_UNAVAILABLE',
    message: `steps cannot be run here: ${why}`,
    hint: hintFor(ids, why, cause),
    cause,
  });
}

function hintFor(ids: StepIds, why: string, cause: unknown): string {
  if (errnoOf(cause) === 'ENOENT') return 'Install util-linux: its setpriv and unshare are needed.';
  if (!/unshare|uid_?map|gid_?map|not permitted|denied|No space/i.test(why)) {
    return 'Run strake doctor to see what this machine allows.';
  }
  return ids === 'all'
    ? 'Root needs CAP_SYS_ADMIN for its steps: in a container, allow it (--cap-add SYS_ADMIN), or run strake as an ordinary user.'
    : 'User namespaces are forbidden here. Root can allow them: sysctl user.max_user_namespaces=10000, and where the kernel has ' +
        'them kernel.unprivileged_userns_clone=1, kernel.apparmor_restrict_unprivileged_userns=0. Or run strake as root.';
}

/** For a step that failed where it had one id only: many programs want to give files away. */
export function oneIdHint(): string {
  return `Steps have one user id on this machine, so changing owners fails. ${moreIdsHint()}`;
}
