import { isStrakeError } from '@strake/core';
import fs from 'node:fs';

import type { Agent } from './agent-client.js';
import type { SnapshotterChoice } from './choose-snapshotter.js';
import { chrootChecks, namespacesCheck } from './namespace-check.js';
import type { Resources } from './resources.js';
import type { DoctorCheck, DoctorReport } from './types.js';
import { findStepIds, type StepIds, type StepIdsFacts } from './user-ids.js';

/** What this machine can do and what a build would use here. With FIX, what crashed processes left behind is removed. */
export async function diagnose(resources: Resources, fix: boolean): Promise<DoctorReport> {
  const store = await resources.store();
  const facts = findStepIds();
  const checks: DoctorCheck[] = [
    {
      name: 'user',
      ok: true,
      detail: facts.ids === 'all' ? 'root' : `uid ${process.getuid?.()}: steps run in a user namespace`,
    },
    { name: 'store', ok: true, detail: resources.root },
  ];
  let agent: Agent | undefined;
  let probed: Awaited<ReturnType<Agent['probe']>> = {
    capabilities: [],
    runtime: undefined,
    reason: 'no step can be run',
    snapshotter: undefined,
  };
  try {
    agent = await resources.agent();
    checks.push(namespacesCheck(agent));
    if (!agent.namespaces) checks.push(...chrootChecks());
    if (facts.ids !== 'all') checks.push(idsCheck(facts, agent.ids));
    probed = await agent.probe();
  } catch (error) {
    if (!isStrakeError(error)) throw error;
    checks.push(namespacesCheck(error));
  }
  checks.push(overlayCheck(probed.snapshotter));
  for (const { name, available, detail, hint } of probed.capabilities) {
    checks.push({ name, ok: available, detail, hint: available ? undefined : hint });
  }
  const leftovers = await store.findLeftovers();
  if (fix) {
    for (const { path, privileged } of leftovers) if (privileged) await agent?.removeTree(path);
    await store.removeLeftovers();
  }
  return {
    checks,
    choices: [
      { what: 'isolation', choice: probed.runtime ?? 'none', why: probed.reason },
      {
        what: 'snapshotter',
        choice: probed.snapshotter?.kind ?? 'none',
        why: probed.snapshotter?.reason ?? probed.reason,
      },
    ],
    leftovers: leftovers.map(({ path }) => path),
  };
}

/** Whether overlays can be mounted: where none was tried, whether the kernel has them. LISTING: /proc/filesystems. */
export function overlayCheck(
  choice: SnapshotterChoice | undefined,
  listing: string = fs.readFileSync('/proc/filesystems', 'utf8'),
): DoctorCheck {
  const name = 'overlay';
  if (choice?.kind === 'overlay') return { name, ok: true, detail: choice.reason };
  if (!/^nodev\s+overlay$/m.test(listing)) {
    const detail = 'the kernel does not list overlay among its file systems: steps have whole copies';
    return { name, ok: false, detail, hint: 'As root: modprobe overlay.' };
  }
  if (choice?.hint !== undefined) return { name, ok: false, detail: choice.reason, hint: choice.hint };
  return { name, ok: true, detail: 'the kernel has overlay mounts' };
}

/** Whether steps have more than one id. ACTUAL: what the agent got, which may be less than the files grant. */
function idsCheck({ ids, detail, hint }: StepIdsFacts, actual: StepIds): DoctorCheck {
  const name = 'subordinate ids';
  if (actual === ids) return { name, ok: ids === 'range', detail, hint };
  return {
    name,
    ok: false,
    detail: "newuidmap may not work here: every file of a step is root's",
    hint: 'In a container without privileges that is so; elsewhere newuidmap and newgidmap must be setuid root.',
  };
}
