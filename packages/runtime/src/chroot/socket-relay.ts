import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';

import { OpenFlag } from '@strake/sys';

/** A socket that can be put into a root. */
export interface SocketRelay {
  close(): Promise<void>;
}

/** Makes a socket AT, with the owner and mode of the socket TO, that passes all connections on to that one. */
export async function relaySocket(at: string, to: string): Promise<SocketRelay> {
  const facts = fs.statSync(to);
  const sockets = new Set<net.Socket>();
  const server = net.createServer((client) => {
    const upstream = net.connect(to);
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(socket);
      socket.on('error', () => other.destroy());
      socket.on('close', () => sockets.delete(socket));
    }
    client.pipe(upstream).pipe(client);
  });
  // Addresses of sockets are short; a descriptor of the folder is.
  const folder = fs.openSync(path.dirname(at), OpenFlag.path | OpenFlag.directory);
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(`/proc/self/fd/${folder}/${path.basename(at)}`, resolve);
    });
  } finally {
    fs.closeSync(folder);
  }
  fs.chownSync(at, facts.uid, facts.gid);
  fs.chmodSync(at, facts.mode & 0o7777);
  return {
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
