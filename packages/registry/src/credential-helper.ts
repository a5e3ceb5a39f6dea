import { errnoOf } from '@strake/core';
import { toCredentials } from './credential-file.js';
import { credentialHelperFailed } from './errors.js';
import { redact } from './redact.js';
import { storageKey } from './registry-name.js';
import type { Credentials } from './types.js';

const TIMEOUT = 30_000;
const MAX_OUTPUT = 1024 * 1024;
const NOT_FOUND = /credentials not found/i;

export interface HelperOptions {
  /** The environment of the helper, which also says where it is looked for. */
  readonly env: NodeJS.ProcessEnv;
  /** Milliseconds until it is killed; 30,000 by default. */
  readonly timeout?: number | undefined;
}

interface Outcome {
  readonly status: number | undefined;
  readonly stdout: string;
}

/** `docker-credential-NAME`. A name from a file must not become a path. */
function programOf(helper: string, registry: string): string {
  const program = `docker-credential-${helper}`;
  if (/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(helper)) return program;
  throw credentialHelperFailed('the credential helper', registry, 'its name in the configuration is not valid');
}

/**
 * What a docker credential helper has for a registry; undefined where it has nothing. MISSING is called where the program
 * is not installed: then there is nothing, either.
 * @throws StrakeError `CREDENTIAL_HELPER_FAILED`
 */
export async function helperCredentials(
  helper: string,
  registry: string,
  options: HelperOptions & { readonly onMissing: (program: string) => void },
): Promise<Credentials | undefined> {
  const program = programOf(helper, registry);
  const outcome = await run(program, 'get', storageKey(registry), registry, options);
  if (outcome === undefined) {
    options.onMissing(program);
    return undefined;
  }
  if (NOT_FOUND.test(outcome.stdout)) return undefined;
  if (outcome.status !== 0) {
    throw credentialHelperFailed(
      program,
      registry,
      redact(outcome.stdout) || `exit status ${outcome.status ?? 'unknown'}`,
    );
  }
  let answer: unknown;
  try {
    answer = JSON.parse(outcome.stdout);
  } catch {
    // Node's message would quote the answer, the secret included.
    throw credentialHelperFailed(program, registry, 'its answer is not JSON');
  }
  const fields = answer !== null && typeof answer === 'object' ? (answer as Record<string, unknown>) : {};
  const [username, secret] = [fields['Username'], fields['Secret']];
  if (typeof username !== 'string' || typeof secret !== 'string') {
    throw credentialHelperFailed(program, registry, 'its answer has no Username and Secret');
  }
  return toCredentials(username, secret);
}

/**
 * Has a helper keep credentials.
 * @throws StrakeError `CREDENTIAL_HELPER_FAILED`
 */
export async function storeInHelper(
  helper: string,
  registry: string,
  credentials: { readonly username: string; readonly password: string },
  options: HelperOptions,
): Promise<void> {
  const program = programOf(helper, registry);
  const { username, password } = credentials;
  const input = JSON.stringify({ ServerURL: storageKey(registry), Username: username, Secret: password });
  const outcome = await run(program, 'store', input, registry, options);
  if (outcome?.status === 0) return;
  const why = outcome ? redact(outcome.stdout, [password]) || 'it does not store credentials' : 'it is not installed';
  throw credentialHelperFailed(program, registry, why);
}

/** Has a helper forget credentials. Resolves with whether it had any. */
export async function eraseFromHelper(helper: string, registry: string, options: HelperOptions): Promise<boolean> {
  const program = programOf(helper, registry);
  return (await run(program, 'erase', storageKey(registry), registry, options))?.status === 0;
}

/** Runs a helper without a shell. Resolves with undefined where it is not installed. */
async function run(
  program: string,
  command: 'get' | 'store' | 'erase',
  input: string,
  registry: string,
  options: HelperOptions,
): Promise<Outcome | undefined> {
  const { spawn } = await import('node:child_process');
  return new Promise((resolve, reject) => {
    const child = spawn(program, [command], { env: options.env, stdio: ['pipe', 'pipe', 'ignore'], shell: false });
    const chunks: Buffer[] = [];
    let size = 0;
    const stop = (why: string): void => {
      child.kill('SIGKILL');
      child.stdout.destroy();
      done();
      reject(credentialHelperFailed(program, registry, why));
    };
    const timer = setTimeout(() => stop('it did not answer in time'), options.timeout ?? TIMEOUT);
    const done = (): void => clearTimeout(timer);
    child.once('error', (error) => {
      done();
      if (errnoOf(error) === 'ENOENT') resolve(undefined);
      else reject(credentialHelperFailed(program, registry, errnoOf(error) ?? 'it cannot be started'));
    });
    child.stdout.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size > MAX_OUTPUT) stop('its answer is too long');
      else chunks.push(chunk);
    });
    child.once('close', (status) => {
      done();
      resolve({ status: status ?? undefined, stdout: Buffer.concat(chunks).toString('utf8') });
    });
    // A helper that ends without reading breaks the pipe; its exit status tells what happened.
    child.stdin.on('error', () => undefined);
    child.stdin.end(input);
  });
}
