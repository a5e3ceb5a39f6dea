import type { SourceLocation } from '@strake/core';
import { fit, harmless, oneLine } from '../progress/text.js';

/** Lines shown above and below, lines of the marked part, columns of a line. */
const AROUND = 2;
const MARKED = 12;
const COLUMNS = 160;

/**
 * The lines of a file around a place, those that it covers marked with `>>>`, its column with a caret:
 *
 *     Dockerfile:2
 *        1 |     FROM busybox
 *        2 | >>> RUN make
 *
 * Only the heading where the text is not known.
 */
export function excerpt(location: SourceLocation): string {
  const heading = `${harmless(location.file)}:${location.line}\n`;
  if (location.source === undefined) return heading;
  const lines = location.source.split('\n');
  if (lines.at(-1) === '') lines.pop();
  const first = location.line;
  const last = Math.min(location.endLine ?? first, lines.length);
  const lastMarked = Math.min(last, first + MARKED - 1);
  const end = lastMarked < last ? lastMarked : Math.min(lines.length, last + AROUND);
  const digits = Math.max(4, String(end).length);
  let out = heading;
  for (let number = Math.max(1, first - AROUND); number <= end; number++) {
    const marked = number >= first && number <= last;
    const line = lines[number - 1] ?? '';
    out += `${String(number).padStart(digits)} | ${marked ? '>>> ' : '    '}${fit(oneLine(line), COLUMNS)}`.trimEnd();
    out += '\n';
    if (number === first && last === first && location.column !== undefined && location.column <= line.length) {
      // behind a mark, so that blanks at its end are kept
      const before = oneLine(`${line.slice(0, location.column - 1)}^`).slice(0, -1);
      // at the beginning of the line it would say nothing new
      if (before.trim() !== '' && before.length < COLUMNS)
        out += `${' '.repeat(digits)} |     ${' '.repeat(before.length)}^\n`;
    }
  }
  if (lastMarked < last) out += `${'...'.padStart(digits)} |\n`;
  return out;
}
