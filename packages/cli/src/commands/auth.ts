import { collect } from '@strake/core';
import type { Arguments, Flag } from '../args/parse.js';
import type { Command } from '../command.js';
import { credentialsMissing, usage } from '../errors.js';
import { writeLine, type Io } from '../io.js';
import { ask } from '../prompt.js';

const PASSWORD_LIMIT = 65536;
const INSECURE: Flag = {
  name: 'insecure-registry',
  kind: 'list',
  value: 'HOST',
  help: 'Talk to this registry (host[:port]) without a valid certificate, or over http',
};

function registryOf(args: Arguments): string {
  const [registry = '', extra] = args.positionals;
  if (extra !== undefined) throw usage(`"${extra}" is one argument too many`);
  return registry;
}

async function passwordOf(args: Arguments, io: Io): Promise<string> {
  const given = args.string('password');
  if (args.boolean('password-stdin')) {
    if (given !== undefined) throw usage('--password and --password-stdin exclude each other');
    if (!args.has('username')) throw usage('--password-stdin needs --username');
    const text = await collect(io.stdin() as AsyncIterable<Uint8Array>, PASSWORD_LIMIT, 'the password');
    return text.toString('utf8').replace(/\r?\n$/, '');
  }
  if (given !== undefined) {
    writeLine(io.stderr, 'warning: a password on the command line can be seen by others; --password-stdin is safer');
    return given;
  }
  if (!io.stdin().isTTY) throw credentialsMissing('password');
  return ask('Password: ', io, { secret: true });
}

export const login: Command = {
  usage: 'login [OPTIONS] [REGISTRY]',
  about: "Checks a name and password at a registry (default: Docker Hub) and keeps them in docker's config.json.",
  flags: [
    { name: 'username', short: 'u', kind: 'string', value: 'NAME', help: 'Name of the account' },
    { name: 'password', short: 'p', kind: 'string', value: 'TEXT', help: 'Password or access token' },
    { name: 'password-stdin', kind: 'boolean', help: 'Read the password from standard input' },
    INSECURE,
  ],
  async run(args, io) {
    const registry = registryOf(args);
    let username = args.string('username');
    if (!username) {
      if (!io.stdin().isTTY) throw credentialsMissing('name');
      username = await ask('Username: ', io);
    }
    const password = await passwordOf(args, io);
    if (username === '' || password === '') throw usage('name and password must not be empty');
    const { login: check } = await io.authentication();
    const { env, home, signal } = io;
    const client = { insecure: args.list('insecure-registry') };
    const done = await check({ registry, username, password, env, home, client, signal });
    if (done.plain) writeLine(io.stderr, `warning: the password is kept unencrypted in ${done.storedIn}`);
    writeLine(io.stdout, `logged in to ${done.registry} as ${username}`);
    return 0;
  },
};

export const logout: Command = {
  usage: 'logout [REGISTRY]',
  about: "Removes the credentials for a registry (default: Docker Hub) from docker's config.json.",
  flags: [],
  async run(args, io) {
    const registry = registryOf(args);
    const { logout: forget } = await io.authentication();
    const known = await forget({ registry, env: io.env, home: io.home, signal: io.signal });
    const where = registry || 'Docker Hub';
    writeLine(io.stdout, known ? `logged out of ${where}` : `there were no credentials for ${where}`);
    return 0;
  },
};
