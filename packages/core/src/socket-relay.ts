import net from 'node:net';

/** Passes connections on to another socket. */
export interface SocketRelay {
  /** Begins to listen at a path: at most 107 bytes, as for all sockets. @throws an error of Node's where it cannot */
  listen(at: string): Promise<void>;
  /** Ends all connections, and removes the socket. */
  close(): Promise<void>;
}

/** A relay to the socket TO. Where nobody listens there, connections to the relay end. */
export function createSocketRelay(to: string): SocketRelay {
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
  return {
    listen: (at) =>
      new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen(at, resolve);
      }),
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
