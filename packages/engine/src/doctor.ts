import fs from 'node:fs';

import { chooseSnapshotter } from './choose-snapshotter.js';
import type { Resources } from './resources.js';
import type { DoctorCheck, DoctorReport, EngineOptions } from './types.js';

/** What this machine can do and what a build would use here. With FIX, what crashed processes left behind is removed. */
export async function diagnose(resources: Resources, options: EngineOptions, fix: boolean): Promise<DoctorReport> {
  const store = await resources.store();
  const { kind, userNamespace } = chooseSnapshotter(options.snapshotter ?? 'auto');
  const checks: DoctorCheck[] = [
    {
      name: 'user',
      ok: true,
      detail: userNamespace ? `uid ${process.getuid?.()}: steps run in a user namespace` : 'root',
    },
    { name: 'store', ok: true, detail: resources.root },
    overlayCheck(),
    ...(userNamespace ? [subordinateIds()] : []),
  ];
  const agent = await resources.agent();
  const probed = await agent.probe();
  for (const { name, available, detail, hint } of probed.capabilities) {
    checks.push({ name, ok: available, detail, hint: available ? undefined : hint });
  }
  const leftovers = await store.findLeftovers();
  if (fix) {
    for (const { path, privileged } of leftovers) if (privileged) await agent.removeTree(path);
    await store.removeLeftovers();
  }
  const available = probed.capabilities.find((capability) => capability.available);
  return {
    checks,
    choices: [
      { what: 'isolation', choice: available?.name ?? 'none', why: probed.reason },
      {
        what: 'snapshotter',
        choice: kind,
        why: userNamespace ? 'overlay mounts in a user namespace' : 'overlay mounts as root',
      },
    ],
    leftovers: leftovers.map(({ path }) => path),
  };
}

function overlayCheck(): DoctorCheck {
  const listed = fs.readFileSync('/proc/filesystems', 'utf8').includes('overlay');
  return {
    name: 'overlay',
    ok: listed,
    detail: listed ? 'the kernel has overlay mounts' : 'the kernel does not list overlay among its file systems',
    hint: listed ? undefined : 'modprobe overlay, as root.',
  };
}

/** Whether newuidmap and a range of ids are there: without them, a step has one id only. */
function subordinateIds(): DoctorCheck {
  const user = process.env['USER'] ?? String(process.getuid?.());
  const has = (file: string): boolean => {
    try {
      return fs
        .readFileSync(file, 'utf8')
        .split('\n')
        .some((line) => line.startsWith(`${user}:`) || line.startsWith(`${process.getuid?.()}:`));
    } catch {
      return false;
    }
  };
  const helper = ['/usr/bin/newuidmap', '/bin/newuidmap', '/usr/local/bin/newuidmap'].some((file) =>
    fs.existsSync(file),
  );
  const ok = helper && has('/etc/subuid') && has('/etc/subgid');
  return {
    name: 'subordinate ids',
    ok,
    detail: ok ? 'newuidmap and a range of ids in /etc/subuid' : 'no newuidmap, or no range of ids for this user',
    hint: ok
      ? undefined
      : `As root: apt-get install uidmap && usermod --add-subuids 100000-165535 --add-subgids 100000-165535 ${user}`,
  };
}
