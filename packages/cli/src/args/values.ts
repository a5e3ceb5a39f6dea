import { usage } from '../errors.js';

/** The fields of one line of CSV (RFC 4180), as buildx reads the values of --secret and --output. */
export function csvFields(text: string, flag: string): string[] {
  const fields: string[] = [];
  let field = '';
  let at = 0;
  for (;;) {
    if (text[at] === '"') {
      at++;
      for (;;) {
        const end = text.indexOf('"', at);
        if (end < 0) throw usage(`${flag}: a quote is not closed in ${text}`);
        field += text.slice(at, end);
        at = end + 1;
        if (text[at] !== '"') break;
        field += '"';
        at++;
      }
      if (at < text.length && text[at] !== ',') throw usage(`${flag}: text after a closing quote in ${text}`);
    } else {
      const comma = text.indexOf(',', at);
      const end = comma < 0 ? text.length : comma;
      field = text.slice(at, end);
      at = end;
    }
    fields.push(field);
    field = '';
    if (at >= text.length) return fields;
    at++;
  }
}

/** `key=value` fields of a CSV value, keys in small letters. */
export function csvPairs(text: string, flag: string): [key: string, value: string][] {
  return csvFields(text, flag).map((field) => {
    const equals = field.indexOf('=');
    if (equals < 0) throw usage(`${flag}: "${field}" must be written as key=value`);
    return [field.slice(0, equals).trim().toLowerCase(), field.slice(equals + 1)];
  });
}

/** An object that any key may be put into: `__proto__` is a key like others. */
export function emptyRecord(): Record<string, string> {
  return Object.create(null) as Record<string, string>;
}

/** `NAME=value` words as a map. What a word without `=` stands for is up to MISSING; undefined leaves it out. */
export function pairs(
  words: readonly string[],
  flag: string,
  missing: (name: string) => string | undefined,
): Record<string, string> {
  const result = emptyRecord();
  for (const word of words) {
    const equals = word.indexOf('=');
    const name = equals < 0 ? word : word.slice(0, equals);
    if (name === '') throw usage(`${flag}: "${word}" has no name`);
    const value = equals < 0 ? missing(name) : word.slice(equals + 1);
    if (value !== undefined) result[name] = value;
  }
  return result;
}

const UNITS: Readonly<Record<string, number>> = { '': 0, b: 0, k: 1, m: 2, g: 3, t: 4, p: 5 };

/** A number of bytes: `64m`, `1.5GiB`, `1024`. Units are powers of 1024, as Docker reads them. */
export function byteSize(text: string, flag: string): number {
  const match = /^(\d+(?:\.\d+)?) ?([kmgtp]?)(?:i?b)?$/i.exec(text);
  const power = UNITS[match?.[2]?.toLowerCase() ?? ''];
  const size = match && power !== undefined ? Math.floor(Number(match[1]) * 1024 ** power) : NaN;
  if (!Number.isSafeInteger(size)) throw usage(`${flag}: "${text}" is not a size`, 'Write it like 64m or 1g.');
  return size;
}

/** A whole number of at least 1. */
export function count(text: string, flag: string): number {
  if (!/^[1-9]\d{0,5}$/.test(text)) throw usage(`${flag}: "${text}" is not a number of 1 or more`);
  return Number(text);
}

/** TEXT where it is one of CHOICES. */
export function choice<T extends string>(text: string, choices: readonly T[], flag: string): T {
  const found = choices.find((one) => one === text);
  if (found === undefined) throw usage(`${flag}: "${text}" is not one of ${choices.join(', ')}`);
  return found;
}

/** A number above 0, with or without decimals. */
export function decimal(text: string, flag: string): number {
  const value = /^\d{1,9}(?:\.\d{1,9})?$/.test(text) ? Number(text) : 0;
  if (value === 0) throw usage(`${flag}: "${text}" is not a number above 0`);
  return value;
}

const DURATIONS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** Milliseconds of a time like `90s`, `10m` or `1h30m`; a number alone is in seconds. */
export function duration(text: string, flag: string): number {
  const parts = /^\d+(?:\.\d+)?$/.test(text) ? [`${text}s`] : (text.match(/\d+(?:\.\d+)?(?:ms|s|m|h)/g) ?? []);
  const total = parts.reduce((sum, part) => {
    const [, number = '', unit = ''] = /^([\d.]+)(\D+)$/.exec(part) ?? [];
    return sum + Number(number) * (DURATIONS[unit] ?? NaN);
  }, 0);
  // The longest that a timer can wait.
  if ((parts.join('') !== text && parts[0] !== `${text}s`) || !(total >= 1 && total < 2 ** 31))
    throw usage(`${flag}: "${text}" is not a time`, 'Write it like 90s, 10m or 1h30m.');
  return Math.ceil(total);
}
