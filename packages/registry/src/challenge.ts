/** One challenge of a WWW-Authenticate header. Scheme and parameter names in small letters. */
export interface Challenge {
  readonly scheme: string;
  readonly parameters: ReadonlyMap<string, string>;
}

const MAX_HEADER = 16 * 1024;
const MAX_CHALLENGES = 16;

const TOKEN = /[!#$%&'*+\-.^_`|~0-9A-Za-z]+/y;
const PARAMETER =
  /([!#$%&'*+\-.^_`|~0-9A-Za-z]+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([!#$%&'*+\-.^_`|~0-9A-Za-z/:]+))/y;
const TOKEN68 = /[ \t]+[A-Za-z0-9\-._~+/]+=*(?=[ \t]*(?:,|$))/y;
const SEPARATOR = /[ \t,]*/y;

/**
 * Reads the value of a WWW-Authenticate header (RFC 9110, 11.6.1): several challenges, quoted or bare parameters.
 * What follows the first thing that is no such syntax is ignored; nothing throws.
 */
export function parseChallenges(header: string): Challenge[] {
  const text = header.slice(0, MAX_HEADER);
  const challenges: { scheme: string; parameters: Map<string, string> }[] = [];
  let at = 0;
  const take = (pattern: RegExp): RegExpExecArray | undefined => {
    pattern.lastIndex = at;
    const match = pattern.exec(text);
    if (match) at = pattern.lastIndex;
    return match ?? undefined;
  };
  for (;;) {
    take(SEPARATOR);
    if (at >= text.length) return challenges;
    const current = challenges.at(-1);
    const parameter = current && take(PARAMETER);
    if (parameter) {
      const name = (parameter[1] ?? '').toLowerCase();
      const value = parameter[2]?.replace(/\\(.)/g, '$1') ?? parameter[3] ?? '';
      if (!current.parameters.has(name)) current.parameters.set(name, value);
      continue;
    }
    const scheme = take(TOKEN);
    if (!scheme || challenges.length >= MAX_CHALLENGES) return challenges;
    challenges.push({ scheme: scheme[0].toLowerCase(), parameters: new Map() });
    take(TOKEN68);
  }
}

/** The challenge that this client answers: the first Bearer with a realm, else Basic. */
export function chooseChallenge(challenges: readonly Challenge[]): Challenge | undefined {
  return (
    challenges.find((c) => c.scheme === 'bearer' && c.parameters.get('realm')) ??
    challenges.find((c) => c.scheme === 'basic')
  );
}
