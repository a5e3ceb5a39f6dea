import { harmless, width } from '../progress/text.js';

/** Rows under a heading, columns as wide as their widest cell and two blanks apart. Cells may be foreign text. */
export function table(heading: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [heading, ...rows].map((row) => row.map(harmless));
  const widths = heading.map((_, column) => Math.max(...all.map((row) => width(row[column] ?? ''))));
  return all
    .map((row) =>
      row
        .map((cell, column) => cell + ' '.repeat((widths[column] ?? 0) - width(cell)))
        .join('  ')
        .trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join('');
}

const STEPS: readonly [name: string, seconds: number][] = [
  ['year', 31_536_000],
  ['month', 2_592_000],
  ['week', 604_800],
  ['day', 86_400],
  ['hour', 3600],
  ['minute', 60],
  ['second', 1],
];

/** How long ago an RFC 3339 time was: `3 days ago`. Empty where the time is not known. */
export function ago(time: string | undefined, now: number): string {
  const then = time === undefined ? NaN : Date.parse(time);
  if (Number.isNaN(then)) return '';
  const passed = Math.max(0, (now - then) / 1000);
  const [name, seconds] = STEPS.find((step) => passed >= step[1]) ?? ['second', 1];
  const number = Math.floor(passed / seconds);
  return `${number} ${name}${number === 1 ? '' : 's'} ago`;
}
