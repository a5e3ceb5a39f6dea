import { checkStages, StageLowering, type LowerOptions } from '@strake/builder';
import { hostPlatform, type SourceLocation } from '@strake/core';
import { jsonLocation, lintError, listTargets, outline, type CheckReport } from '@strake/parser';

import { lowerOptionsOf, platformsOf } from './build-call.js';
import { openBuild } from './open-build.js';
import type { Resources } from './resources.js';
import { Cleanups } from './cleanups.js';
import type { BuildOptions, CallResult } from './types.js';

/** `--call`: what can be said of a Dockerfile without building it. @throws StrakeError */
export async function callDockerfile(
  method: 'check' | 'outline' | 'targets',
  options: BuildOptions,
  resources: Resources,
  env: NodeJS.ProcessEnv,
): Promise<CallResult> {
  const cleanups = new Cleanups();
  try {
    const opened = await openBuild(options, resources, env, cleanups);
    const { services, context, dockerfile, buildArgs } = opened;
    if (method === 'targets') {
      const list = listTargets(dockerfile);
      const rows = list.targets.map((target) => [
        `${target.name ?? ''}${target.default ? ' (default)' : ''}`.trim(),
        target.description ?? '',
      ]);
      return { text: table(['TARGET', 'DESCRIPTION'], rows), json: list, exitCode: 0 };
    }
    const [platform = hostPlatform()] = platformsOf(options);
    if (method === 'outline') {
      const found = outline(dockerfile, { buildArgs, target: options.target, platform });
      return { text: outlineText(found), json: found, exitCode: 0 };
    }
    const lower: LowerOptions = { ...lowerOptionsOf(options), dockerfile, platform };
    const lowering = new StageLowering(lower, services, opened.resolver(), '');
    const report = await checkStages(lowering, lower, await context.ignorePatterns(), options.target === undefined);
    return checkResult(report, lintError(dockerfile, report.warnings, { buildArgs }) !== undefined, dockerfile.source);
  } finally {
    await cleanups.run();
  }
}

/** The result of `--call=check`, in buildx's text and BuildKit's JSON. */
function checkResult({ warnings, error }: CheckReport, asError: boolean, source: string): CallResult {
  const lines = source.split('\n');
  const parts = warnings.map(({ rule, url, description, message, location }) =>
    [`WARNING: ${rule} - ${url}`, description, message, '', excerpt(location, lines)].join('\n'),
  );
  const count = warnings.length;
  const summary =
    count === 0 && !error
      ? 'Check complete, no warnings found.'
      : `Check complete, ${count} ${count === 1 ? 'warning has' : 'warnings have'} been found${error ? `, and an error: ${error.message}` : '!'}`;
  return {
    text: `${[...parts, summary].join('\n')}\n`,
    json: {
      warnings: warnings.map(({ rule, url, description, message, location }) => ({
        ruleName: rule,
        description,
        url,
        detail: message,
        location: jsonLocation(location),
      })),
      sources: [{ filename: 'Dockerfile', data: Buffer.from(source).toString('base64'), language: 'Dockerfile' }],
      ...(error
        ? {
            buildError: {
              message: error.message,
              ...(error.location ? { location: jsonLocation(error.location) } : {}),
            },
          }
        : {}),
    },
    exitCode: error || asError ? 1 : 0,
  };
}

/** The lines of a finding, with two before and after. */
function excerpt({ file, line, endLine = line }: SourceLocation, lines: readonly string[]): string {
  const out = [`${file}:${line}`, '--------------------'];
  for (let n = Math.max(1, line - 2); n <= Math.min(lines.length, endLine + 2); n++) {
    const mark = n >= line && n <= endLine ? '>>>' : '   ';
    out.push(`${String(n).padStart(4)} | ${mark} ${(lines[n - 1] ?? '').replace(/\r$/, '')}`.trimEnd());
  }
  return [...out, '--------------------', ''].join('\n');
}

function outlineText(found: ReturnType<typeof outline>): string {
  const sections: string[] = [];
  if (found.name !== undefined) {
    sections.push(`TARGET: ${found.name}\n${found.description ? `DESCRIPTION: ${found.description}\n` : ''}`);
  }
  if (found.args) {
    const rows = found.args.map(({ name, value, description }) => [name, value ?? '', description ?? '']);
    sections.push(table(['BUILD ARG', 'VALUE', 'DESCRIPTION'], rows));
  }
  for (const [title, mounts] of [
    ['SECRET', found.secrets],
    ['SSH', found.ssh],
  ] as const) {
    if (mounts)
      sections.push(
        table(
          [title, 'REQUIRED'],
          mounts.map(({ name, required }) => [name, required ? 'true' : 'false']),
        ),
      );
  }
  return sections.join('\n');
}

function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [header, ...rows];
  const widths = header.map((_, i) => Math.max(...all.map((row) => (row[i] ?? '').length)));
  return `${all
    .map((row) =>
      row
        .map((cell, i) => cell.padEnd((widths[i] ?? 0) + 4))
        .join('')
        .trimEnd(),
    )
    .join('\n')}\n`;
}
