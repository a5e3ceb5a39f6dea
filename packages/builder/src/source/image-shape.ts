import type { ImageConfig } from '@strake/core';

/** Says of a value what is wrong with it: the path below it, and what it should have been. */
type Check = (value: unknown) => string | undefined;

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const text: Check = (value) => (typeof value === 'string' ? undefined : ' is not a string');
const number: Check = (value) => (Number.isSafeInteger(value) ? undefined : ' is not a whole number');
const flag: Check = (value) => (typeof value === 'boolean' ? undefined : ' is neither true nor false');

function list(item: Check): Check {
  return (value) => {
    if (!Array.isArray(value)) return ' is not a list';
    for (const [i, one] of value.entries()) {
      const wrong = item(one);
      if (wrong !== undefined) return `[${i}]${wrong}`;
    }
    return undefined;
  };
}

function map(item: Check): Check {
  return (value) => {
    if (!isObject(value)) return ' is not an object';
    for (const [name, one] of Object.entries(value)) {
      const wrong = item(one);
      if (wrong !== undefined) return `[${JSON.stringify(name.slice(0, 100))}]${wrong}`;
    }
    return undefined;
  };
}

/** An object whose fields may be missing or null; unknown ones are anything. Null ones are removed, as Go reads them. */
function fields(checks: Readonly<Record<string, Check>>): Check {
  return (value) => {
    if (!isObject(value)) return ' is not an object';
    for (const [name, check] of Object.entries(checks)) {
      if (!Object.hasOwn(value, name)) continue;
      const wrong = value[name] === null ? undefined : check(value[name]);
      if (wrong !== undefined) return `.${name}${wrong}`;
      if (value[name] === null) delete value[name];
    }
    return undefined;
  };
}

const set = map((value) => (value === null || isObject(value) ? undefined : ' is not an object'));
const texts = list(text);

const IMAGE: Check = fields({
  architecture: text,
  os: text,
  variant: text,
  author: text,
  created: text,
  'os.version': text,
  'os.features': texts,
  rootfs: fields({ type: text, diff_ids: texts }),
  history: list(fields({ created: text, created_by: text, author: text, comment: text, empty_layer: flag })),
  config: fields({
    User: text,
    WorkingDir: text,
    StopSignal: text,
    Env: texts,
    Entrypoint: texts,
    Cmd: texts,
    Shell: texts,
    OnBuild: texts,
    Labels: map(text),
    ExposedPorts: set,
    Volumes: set,
    ArgsEscaped: flag,
    Healthcheck: fields({
      Test: texts,
      Interval: number,
      Timeout: number,
      StartPeriod: number,
      StartInterval: number,
      Retries: number,
    }),
  }),
});

/**
 * Checks the types of an image config's fields (OCI image-spec, config.md), as whoever wrote it may have meant harm. Fields that
 * are null count as missing and are removed from DOCUMENT.
 * @returns what is wrong with it, or the config
 */
export function imageConfigOf(document: Record<string, unknown>): { wrong: string } | { config: ImageConfig } {
  const wrong = IMAGE(document);
  return wrong === undefined ? { config: document as unknown as ImageConfig } : { wrong: wrong.replace(/^\./, '') };
}
