import { parserError } from './errors.js';
import { clip } from './text.js';

const UNITS: ReadonlyMap<string, number> = new Map([
  ['ns', 1],
  ['us', 1e3],
  ['µs', 1e3],
  ['μs', 1e3],
  ['ms', 1e6],
  ['s', 1e9],
  ['m', 60e9],
  ['h', 3600e9],
]);
/** Go's durations end at 2^63 nanoseconds. */
const MAX_NANOSECONDS = 2 ** 63;

/**
 * Nanoseconds of a duration as Go's time.ParseDuration reads it: `1h30m`, `1.5s`, `300ms`, `0`.
 * @throws StrakeError `PARSE_ARGUMENTS`
 */
export function parseDuration(text: string): number {
  const bad = (why: string): Error =>
    parserError(
      'PARSE_ARGUMENTS',
      `time: ${why} "${clip(text, 40)}"`,
      'Write it with a unit, for example 30s, 1m30s or 500ms.',
    );
  const negative = text.startsWith('-');
  let rest = text.replace(/^[-+]/, '');
  if (rest === '0') return 0;
  if (rest === '') throw bad('invalid duration');
  let total = 0;
  while (rest !== '') {
    const match = /^(\d{0,40}(?:\.\d{0,40})?)([^\d.]*)/.exec(rest);
    const number = match?.[1] ?? '';
    if (!match || !/\d/.test(number)) throw bad('invalid duration');
    const unitName = match[2] ?? '';
    if (unitName === '') throw bad('missing unit in duration');
    const unit = UNITS.get(unitName);
    if (unit === undefined) throw bad(`unknown unit "${clip(unitName, 20)}" in duration`);
    const [whole = '0', fraction = ''] = number.split('.');
    total += Number(whole) * unit + Math.trunc(Number(`0.${fraction || '0'}`) * unit + 1e-6);
    if (total >= MAX_NANOSECONDS) throw bad('invalid duration');
    rest = rest.slice(match[0].length);
  }
  return negative ? -total : total;
}

/**
 * A duration of HEALTHCHECK in nanoseconds: 0, or at least a millisecond. NAME is that of the flag.
 * @throws StrakeError `PARSE_ARGUMENTS`
 */
export function parseInterval(name: string, text: string): number {
  if (text === '') return 0;
  const duration = parseDuration(text);
  if (duration !== 0 && duration < 1e6) {
    throw parserError(
      'PARSE_ARGUMENTS',
      `Interval "${name}" cannot be less than 1ms`,
      'A duration is 0, which means the default, or at least 1ms.',
    );
  }
  return duration;
}
