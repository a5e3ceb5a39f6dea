import type { DoctorReport } from '@strake/engine';
import { ENGINE_FLAGS } from '../args/engine-flags.js';
import { FORMAT_FLAGS, wantsJson } from '../args/format.js';
import { positionals } from '../args/positionals.js';
import type { Command } from '../command.js';
import { writeJson } from '../print/json.js';
import { table } from '../print/table.js';
import { harmless } from '../progress/text.js';
import { withEngine } from '../with-engine.js';

function text({ checks, choices, leftovers }: DoctorReport, fixed: boolean): string {
  const parts = [
    table(
      ['CHECK', '', 'DETAIL'],
      checks.map((check) => [check.name, check.ok ? 'ok' : 'no', check.detail]),
    ),
  ];
  const hints = checks.filter((check) => !check.ok && check.hint).map((check) => `${check.name}: ${check.hint}\n`);
  if (hints.length > 0) parts.push(hints.join(''));
  const chosen = choices.map((one) => [one.what, one.choice, one.why]);
  if (chosen.length > 0) parts.push(table(['WHAT', 'CHOICE', 'WHY'], chosen));
  if (leftovers.length > 0) {
    const heading = fixed
      ? 'removed what a crash had left behind:'
      : 'a crash left behind (strake doctor --fix removes it):';
    parts.push(`${heading}\n${leftovers.map((path) => `  ${harmless(path)}\n`).join('')}`);
  }
  return parts.join('\n');
}

export const doctor: Command = {
  usage: 'doctor [OPTIONS]',
  about: 'Says what this machine can do, what builds use here and why, and what earlier crashes left behind.',
  flags: [{ name: 'fix', kind: 'boolean', help: 'Remove what crashes left behind' }, ...FORMAT_FLAGS, ...ENGINE_FLAGS],
  async run(args, io) {
    positionals(args);
    const json = wantsJson(args);
    const fix = args.boolean('fix');
    const report = await withEngine(args, io, (engine) => engine.doctor({ fix }));
    if (json) writeJson(io.stdout, report);
    else io.stdout.write(text(report, fix));
    return 0;
  },
};
