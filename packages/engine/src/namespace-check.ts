import { errnoOf, isStrakeError } from '@strake/core';
import fs from 'node:fs';

import type { Agent } from './agent-client.js';
import type { DoctorCheck } from './types.js';

/** Settings of kernels that forbid user namespaces, what each says then, and the command that allows them. */
const SETTINGS: readonly (readonly [file: string, forbids: string, command: string])[] = [
  ['kernel/apparmor_restrict_unprivileged_userns', '1', 'sysctl kernel.apparmor_restrict_unprivileged_userns=0'],
  ['kernel/unprivileged_userns_clone', '0', 'sysctl kernel.unprivileged_userns_clone=1'],
  ['user/max_user_namespaces', '0', 'sysctl user.max_user_namespaces=10000'],
];

/** The settings of this machine that keep ordinary users from making user namespaces. SYS: where /proc/sys is; for tests. */
export function forbiddingSettings(
  sys = '/proc/sys',
): readonly { readonly setting: string; readonly command: string }[] {
  return SETTINGS.flatMap(([file, forbids, command]) =>
    readSetting(`${sys}/${file}`) === forbids ? [{ setting: `${file.replace('/', '.')}=${forbids}`, command }] : [],
  );
}

function readSetting(file: string): string | undefined {
  try {
    return fs.readFileSync(file, 'utf8').trim();
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    return undefined;
  }
}

/** Whether steps have namespaces of their own; what forbids it, and the one command that would help. */
export function namespacesCheck(agent: Agent | Error): DoctorCheck {
  const name = 'namespaces';
  if (!(agent instanceof Error) && agent.namespaces)
    return { name, ok: true, detail: 'steps have namespaces of their own' };
  const failure = agent instanceof Error ? agent : agent.passedOver;
  if (!failure) return { name, ok: true, detail: 'not tried: --isolation chroot needs none' };
  const [first] = process.getuid?.() === 0 ? [] : forbiddingSettings();
  return {
    name,
    ok: false,
    detail: first ? `${failure.message} (${first.setting})` : failure.message,
    hint: first ? `As root: ${first.command}` : isStrakeError(failure) ? failure.hint : undefined,
  };
}

/** What a chroot cannot give, in two lines: to be said wherever one is used. */
export function chrootChecks(): readonly DoctorCheck[] {
  return [
    {
      name: 'security',
      ok: false,
      detail: 'a chroot is no boundary against root: a step that is root can do in this container what you can',
      hint: 'Build only what you trust, or allow namespaces: then steps are isolated.',
    },
    {
      name: 'completeness',
      ok: false,
      detail:
        'steps have no /proc/self, /dev/stdin, /dev/stdout and /dev/fd, no terminals and no own network; what is mounted ' +
        'read-only can be written, without effect',
      hint: 'Allow namespaces: docker run --security-opt seccomp=unconfined --cap-add SYS_ADMIN, or hostUsers: false in Kubernetes.',
    },
  ];
}
