import type { SourceLocation, StrakeError } from '@strake/core';
import { jsonLocation, warningsByLine, type CheckReport, type Outline, type TargetList } from '@strake/parser';
import type { CallResult } from './types.js';

/** The result of `--call=targets`. SOURCE: the text of the Dockerfile. */
export function targetsResult(list: TargetList, source: string): CallResult {
  const rows = list.targets.map((target) => [
    `${target.name ?? ''}${target.default ? ' (default)' : ''}`.trim(),
    target.description ?? '',
  ]);
  const text = table([['TARGET', 'DESCRIPTION'], ...rows], 1);
  return { text, json: { ...list, sources: [base64(source)] }, exitCode: 0 };
}

/** The result of `--call=outline`. SOURCE: the text of the Dockerfile. */
export function outlineResult(found: Outline, source: string): CallResult {
  const sections: string[] = [];
  const { name, description, args, secrets, ssh } = found;
  if (name !== undefined || description !== undefined) {
    const rows = [['TARGET:', name ?? '(default)'], ...(description ? [['DESCRIPTION:', description]] : [])];
    sections.push(table(rows, 1));
  }
  if (args) {
    const rows = args.map((arg) => [arg.name, arg.value ?? '', arg.description ?? '']);
    sections.push(table([['BUILD ARG', 'VALUE', 'DESCRIPTION'], ...rows], 3));
  }
  for (const [title, mounts] of [
    ['SECRET', secrets],
    ['SSH', ssh],
  ] as const) {
    if (!mounts) continue;
    const rows = mounts.map((mount) => [mount.name, mount.required ? 'true' : '']);
    sections.push(table([[title, 'REQUIRED'], ...rows], 3));
  }
  const text = sections.map((section) => `${section}\n`).join('');
  return { text, json: { ...found, sources: [base64(source)] }, exitCode: 0 };
}

/** The result of `--call=check`: status 1 where anything was found. SOURCE: the text of the Dockerfile, which is FILENAME. */
export function checkResult({ warnings, error }: CheckReport, source: string, filename: string): CallResult {
  const lines = source.split('\n');
  const count = warnings.length;
  const parts: string[] = [];
  if (count > 0) parts.push(`Check complete, ${count} ${count === 1 ? 'warning has' : 'warnings have'} been found!\n`);
  for (const { rule, url, message, location } of warningsByLine(warnings)) {
    parts.push(`WARNING: ${rule} - ${url}\n${message}\n${excerpt(location, lines)}`);
  }
  const none = error ? '' : 'Check complete, no warnings found.\n';
  return {
    // As with buildx, a blank line parts warnings from what standard error shows of the error.
    text: count > 0 ? `${parts.join('\n')}${error ? '\n' : ''}` : none,
    error: error && errorText(error, lines),
    json: {
      warnings: warnings.map(({ rule, url, description, message, location }) => ({
        ruleName: rule,
        description,
        url,
        detail: message,
        location: jsonLocation(location),
      })),
      sources: [{ filename, data: base64(source), language: 'Dockerfile' }],
      ...(error
        ? {
            buildError: {
              message: error.message,
              ...(error.location ? { location: jsonLocation(error.location) } : {}),
            },
          }
        : {}),
    },
    exitCode: count > 0 || error ? 1 : 0,
  };
}

function errorText({ message, location, hint }: StrakeError, lines: readonly string[]): string {
  return `ERROR: ${message}\n${location ? excerpt(location, lines) : ''}${hint ? `hint: ${hint}\n` : ''}`;
}

const base64 = (text: string): string => Buffer.from(text).toString('base64');

/** The lines of a finding and some around it, as BuildKit chooses them: more around a single line. */
function excerpt({ file, line, endLine = line }: SourceLocation, lines: readonly string[]): string {
  const out = [`${file}:${line}`, '--------------------'];
  let [first, last] = [line, Math.min(endLine, lines.length)];
  const wanted = last === first ? 4 : 2;
  for (let added = 0; added < wanted; added++) {
    if (first > 1) [first, added] = [first - 1, added + 1];
    if (last < lines.length) [last, added] = [last + 1, added + 1];
  }
  for (let n = first; n <= last; n++) {
    const mark = n >= line && n <= endLine ? '>>>' : '   ';
    out.push(`${String(n).padStart(4)} | ${mark} ${(lines[n - 1] ?? '').replace(/\r$/, '')}`);
  }
  return `${[...out, '--------------------'].join('\n')}\n`;
}

/** Columns as Go's tabwriter sets them: as wide as their widest cell and PADDING more, the last without. */
function table(rows: readonly (readonly string[])[], padding: number): string {
  const widths = (rows[0] ?? []).map(
    (_, i) => Math.max(...rows.map((row) => Array.from(row[i] ?? '').length)) + padding,
  );
  const line = (row: readonly string[]): string =>
    row
      .map((cell, i) => (i < row.length - 1 ? cell + ' '.repeat((widths[i] ?? 0) - Array.from(cell).length) : cell))
      .join('');
  return rows.map((row) => `${line(row)}\n`).join('');
}
