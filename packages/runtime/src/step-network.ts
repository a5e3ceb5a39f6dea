import { spawn, type ChildProcess } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import { fileURLToPath } from 'node:url';

import { abortable } from '@strake/core';

import { createEgressProxy, type EgressOptions, type EgressProxy, type HostContact } from './egress-proxy.js';
import { networkUnavailable } from './errors.js';

/** A network of a step's own. */
export interface StepNetwork {
  /** The beginning of a command that enters it and then becomes the program that follows. */
  readonly launcher: readonly string[];
  /** The name servers that it has. */
  readonly nameservers: readonly string[];
  /** `NAME=value`: how programs find its proxy. */
  readonly env: readonly string[];
  /** Which hosts the step has asked its proxy for. */
  contacts(): readonly HostContact[];
  /** Ends it. To be called when the step has ended. */
  close(): void;
}

export interface StepNetworkOptions {
  /**
   * `uplink`: the Internet and the machine's network, through slirp4netns, but not the machine's loopback device.
   * Otherwise: what a proxy lets through.
   */
  readonly kind: 'uplink' | EgressOptions;
  /** The command that runs step-network-main.js; default: this Node with the module of this package. */
  readonly command?: readonly [file: string, ...args: string[]] | undefined;
  readonly signal?: AbortSignal | undefined;
}

const PATH = '/usr/sbin:/usr/bin:/sbin:/bin';

/**
 * Makes a network namespace with a loopback device of its own, so that a step reaches no service of this machine that listens on
 * loopback only. In a process that may make namespaces.
 * @throws StrakeError `NETWORK_UNAVAILABLE`
 */
export async function openStepNetwork({ kind, command, signal }: StepNetworkOptions): Promise<StepNetwork> {
  const uplink = kind === 'uplink' ? findUplink() : undefined;
  const main = fileURLToPath(new URL('./step-network-main.js', import.meta.url));
  const words = ['--net', '--', ...(command ?? [process.execPath, main]), kind === 'uplink' ? 'hold' : 'listen'];
  const first = spawn('unshare', words, { env: { PATH }, cwd: '/', stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
  let namespace: number | undefined;
  let router: ChildProcess | undefined;
  let proxy: EgressProxy | undefined;
  const close = (): void => {
    proxy?.close();
    router?.kill('SIGKILL');
    first.kill('SIGKILL');
    if (namespace !== undefined) fs.closeSync(namespace);
    namespace = undefined;
  };
  try {
    const { port, listener } = await abortable(greeting(first), signal);
    namespace = fs.openSync(`/proc/${first.pid}/ns/net`, fs.constants.O_RDONLY);
    const path = `/proc/${process.pid}/fd/${namespace}`;
    if (uplink) {
      router = spawn(uplink.program, uplink.args(first.pid ?? 0), {
        env: { PATH },
        cwd: '/',
        stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
      });
      await abortable(uplink.ready(router), signal);
    } else if (listener && kind !== 'uplink') {
      proxy = createEgressProxy(kind);
      proxy.serve(listener);
      first.send('held');
    }
    const address = `http://127.0.0.1:${port}`;
    const names = ['http_proxy', 'https_proxy', 'HTTP_PROXY', 'HTTPS_PROXY'];
    return {
      launcher: ['nsenter', `--net=${path}`, '--'],
      nameservers: uplink?.nameservers ?? [],
      env: proxy ? [...names.map((name) => `${name}=${address}`), 'no_proxy=', 'NO_PROXY='] : [],
      contacts: () => proxy?.contacts() ?? [],
      close,
    };
  } catch (error) {
    close();
    throw error;
  }
}

/** What the first process of a namespace says when it is ready. */
async function greeting(first: ChildProcess): Promise<{ port: number; listener: net.Server | undefined }> {
  let said = '';
  first.stderr?.on('data', (data: Buffer) => (said = (said + data.toString()).slice(-1000)));
  return new Promise((resolve, reject) => {
    first.once('message', (message, handle) => {
      resolve({
        port: (message as { port: number }).port,
        listener: handle instanceof net.Server ? handle : undefined,
      });
    });
    first.once('error', (error) => reject(networkUnavailable(error.message, error)));
    first.once('exit', (code, signal) => reject(networkUnavailable(said.trim() || `it ended with ${signal ?? code}`)));
  });
}

/** What connects a namespace with the world. */
export interface Uplink {
  readonly program: string;
  readonly nameservers: readonly string[];
  args(pid: number): string[];
  ready(child: ChildProcess): Promise<void>;
}

/** The program that connects a namespace with the world without privileges. @throws StrakeError `NETWORK_UNAVAILABLE` */
export function findUplink(): Uplink {
  const find = (name: string): string | undefined =>
    PATH.split(':')
      .map((folder) => `${folder}/${name}`)
      .find((file) => fs.existsSync(file));
  const slirp = find('slirp4netns');
  if (slirp === undefined) {
    throw networkUnavailable('slirp4netns is not installed', undefined, 'Install it: apt-get install slirp4netns.');
  }
  return {
    program: slirp,
    // The address that it answers name queries at, with this machine's name servers.
    nameservers: ['10.0.2.3'],
    args: (pid) => ['--configure', '--mtu=65520', '--disable-host-loopback', '--ready-fd=3', String(pid), 'tap0'],
    ready: async (child) => {
      let said = '';
      child.stderr?.on('data', (data: Buffer) => (said = (said + data.toString()).slice(-1000)));
      await new Promise<void>((resolve, reject) => {
        child.stdio[3]?.once('data', () => resolve());
        child.once('error', (error) => reject(networkUnavailable(error.message, error)));
        child.once('exit', (code) =>
          reject(networkUnavailable(`slirp4netns: ${said.trim() || `exit status ${code}`}`)),
        );
      });
    },
  };
}
