import net from 'node:net';

import { enableLoopback } from '@strake/sys';

// The first process of a step's network namespace (see `openStepNetwork`): switches its loopback device on and, where it is told to,
// listens there for the step's proxy. Its parent gets the listener, and holds the namespace when this process has ended.
enableLoopback();
if (process.argv[2] === 'listen') {
  const server = net.createServer();
  server.listen(0, '127.0.0.1', () => {
    process.send?.({ port: (server.address() as net.AddressInfo).port }, server);
  });
} else {
  process.send?.({ port: 0 });
}
// The parent answers when it holds the namespace.
process.on('message', () => process.exit(0));
process.on('disconnect', () => process.exit(0));
