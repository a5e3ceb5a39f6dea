import { parserError } from './errors.js';
import { trimStart } from './text.js';

/**
 * The strings of a JSON array, or undefined where TEXT is no JSON array: then it is meant as shell form.
 * @throws StrakeError `PARSE_JSON` where it is an array that holds something else
 */
export function parseJsonArray(text: string): string[] | undefined {
  const json = trimStart(text);
  if (!json.startsWith('[')) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    return undefined; // No JSON is no error here: it is the shell form.
  }
  if (!Array.isArray(value)) return undefined;
  return value.map((item: unknown) => {
    if (typeof item === 'string') return item.replace(/\p{Surrogate}/gu, '\uFFFD');
    throw parserError(
      'PARSE_JSON',
      'when using JSON array syntax, arrays must be comprised of strings only',
      'Put every element into double quotes.',
    );
  });
}
