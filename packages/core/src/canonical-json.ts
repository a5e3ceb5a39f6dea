/**
 * JSON with object keys sorted and no blanks, so that equal values have equal text. `undefined` fields are left out, as in JSON.
 * Used for cache keys and image configs (BuildKit writes configs compact with sorted top-level keys).
 */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, v: unknown) => {
    if (v === null || typeof v !== 'object' || Array.isArray(v)) return v;
    const object = v as Record<string, unknown>;
    return Object.fromEntries(
      Object.keys(object)
        .sort()
        .map((key) => [key, object[key]]),
    );
  });
}
