/** What a token allows: for each resource (`repository:library/node`) its actions. In the order in which it is asked for. */
export type Scopes = ReadonlyMap<string, ReadonlySet<string>>;

const MAX_SCOPES = 32;
const SCOPE = /^([a-z]+(?:\([a-z0-9]+\))?:[A-Za-z0-9._/:-]{1,512}):([a-z*,]{1,64})$/;

/** Reads scopes as a challenge writes them, separated by blanks. What has no such form is left out. */
export function parseScopes(text: string): Scopes {
  const scopes = new Map<string, Set<string>>();
  for (const word of text.split(' ')) {
    const match = SCOPE.exec(word);
    if (!match || scopes.size >= MAX_SCOPES) continue;
    const [, resource = '', actions = ''] = match;
    const set = scopes.get(resource) ?? new Set<string>();
    for (const action of actions.split(',')) if (action !== '') set.add(action);
    scopes.set(resource, set);
  }
  return scopes;
}

/** The scope of a repository: `pull`, or `pull` and `push`. */
export function repositoryScope(repository: string, push = false): Scopes {
  return new Map([[`repository:${repository}`, new Set(push ? ['pull', 'push'] : ['pull'])]]);
}

/** All that is in any of LISTS. Scopes with `push` come first: some token services only look at the first one. */
export function mergeScopes(...lists: readonly Scopes[]): Scopes {
  const merged = new Map<string, Set<string>>();
  for (const list of lists) {
    for (const [resource, actions] of list) {
      const set = merged.get(resource) ?? new Set<string>();
      for (const action of actions) set.add(action);
      merged.set(resource, set);
    }
  }
  const rank = (actions: ReadonlySet<string>): number => (actions.has('push') ? 0 : 1);
  return new Map([...merged].sort(([, a], [, b]) => rank(a) - rank(b)));
}

/** Whether what HAVE allows includes WANTED. */
export function coversScopes(have: Scopes, wanted: Scopes): boolean {
  for (const [resource, actions] of wanted) {
    const there = have.get(resource);
    for (const action of actions) if (!there?.has(action) && !there?.has('*')) return false;
  }
  return true;
}

/** The scopes as a token service takes them, one a parameter. */
export function formatScopes(scopes: Scopes): string[] {
  return [...scopes].map(([resource, actions]) => `${resource}:${[...actions].join(',')}`);
}
