import path from 'node:path';
import type { SecretSource, SshSource, UlimitSpec } from '@strake/engine';
import { csvPairs } from '../args/values.js';
import { usage } from '../errors.js';

interface Where {
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/**
 * `--secret`: id, src (or source), env, type. Without src and env it is the environment variable of the id's name, else
 * the file of that name, as with buildx.
 * @throws StrakeError `USAGE`
 */
export function parseSecret(text: string, where: Where): SecretSource {
  let id: string | undefined;
  let file: string | undefined;
  let env: string | undefined;
  let type: string | undefined;
  for (const [key, value] of csvPairs(text, '--secret')) {
    if (key === 'id') id = value;
    else if (key === 'src' || key === 'source') file = value || undefined;
    else if (key === 'env') env = value || undefined;
    else if (key !== 'type') throw usage(`--secret: unknown key "${key}"`, 'Known are id, src, env and type.');
    else if (value === 'file' || value === 'env') type = value;
    else throw usage(`--secret: "${value}" is not one of file, env`);
  }
  if (!id) throw usage('--secret: the id is missing', 'Write it like id=token,src=FILE or id=token,env=NAME.');
  if (type === 'env' && env === undefined) {
    env = file;
    file = undefined;
  }
  if (file === undefined && env === undefined) {
    if (type === 'env' || (type === undefined && where.env[id] !== undefined)) env = id;
    else file = id;
  }
  return { id, file: file === undefined ? undefined : path.resolve(where.cwd, file), env };
}

/** `--ssh ID[=SOCKET|KEY[,KEY]]`. */
export function parseSsh(text: string, where: Where): SshSource {
  const equals = text.indexOf('=');
  const id = equals < 0 ? text : text.slice(0, equals);
  if (id === '') throw usage('--ssh: the id is missing', 'Write it as --ssh default, or ID=SOCKET.');
  const paths = equals < 0 ? [] : text.slice(equals + 1).split(',');
  return { id, paths: paths.filter((p) => p !== '').map((p) => path.resolve(where.cwd, p)) };
}

const ULIMITS: ReadonlySet<string> = new Set(
  'core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack'.split(' '),
);

/** `--ulimit NAME=SOFT[:HARD]`; -1 is unlimited. */
export function parseUlimit(text: string): UlimitSpec {
  const [, name = '', softText, hardText] = /^([a-z]+)=(-1|\d{1,15})(?::(-1|\d{1,15}))?$/.exec(text) ?? [];
  if (!ULIMITS.has(name)) {
    throw usage(
      `--ulimit: "${text}" is not a limit`,
      `Write it as NAME=SOFT[:HARD]; names are ${[...ULIMITS].join(', ')}.`,
    );
  }
  const soft = Number(softText);
  const hard = hardText === undefined ? soft : Number(hardText);
  if (hard !== -1 && (soft === -1 || soft > hard))
    throw usage(`--ulimit: the soft limit of ${text} is above the hard one`);
  return { name, soft, hard };
}
