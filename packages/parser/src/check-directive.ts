import { goQuote } from '@strake/core';
import { parserError } from './errors.js';
import { clip, cut, parseBool, trimSpace } from './text.js';
import type { CheckDirective } from './types.js';

const NOTHING: CheckDirective = { skip: [], skipAll: false, error: false, experimental: [], experimentalAll: false };

/** The text's fields: `;` separates, at most three. */
function fields(text: string): string[] {
  const parts = text.split(';');
  return parts.length <= 3 ? parts : [...parts.slice(0, 2), parts.slice(2).join(';')];
}

/**
 * Reads the value of a `# check=` directive, or of the build argument BUILDKIT_DOCKERFILE_CHECK:
 * `skip=A,B|all;error=true;experimental=X|all`.
 * @throws StrakeError `CHECK_INVALID`
 */
export function parseCheck(value: string): CheckDirective {
  const text = trimSpace(value);
  if (text === '') return NOTHING;
  const bad = (why: string): Error =>
    parserError(
      'CHECK_INVALID',
      `failed to parse check options: ${why}`,
      'Write # check=skip=<rule>,<rule>;error=true, without blanks.',
    );
  const out = { ...NOTHING };
  for (const field of fields(text)) {
    const [key, written] = cut(field, '=');
    if (written === undefined) throw bad(`invalid check option ${goQuote(clip(field, 80))}`);
    const setting = trimSpace(written);
    const list = setting === 'all' ? undefined : setting.split(',').map(trimSpace);
    switch (trimSpace(key)) {
      case 'skip':
        if (list) Object.assign(out, { skip: list });
        else Object.assign(out, { skipAll: true });
        break;
      case 'experimental':
        if (list) Object.assign(out, { experimental: list });
        else Object.assign(out, { experimentalAll: true });
        break;
      case 'error': {
        const error = parseBool(setting);
        if (error === undefined) throw bad(`error takes true or false, not ${goQuote(clip(setting, 40))}`);
        Object.assign(out, { error });
        break;
      }
      default:
        throw bad(`invalid check option ${goQuote(clip(trimSpace(key), 80))}`);
    }
  }
  return out;
}
