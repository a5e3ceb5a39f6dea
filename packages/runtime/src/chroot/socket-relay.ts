import { createSocketRelay, type SocketRelay } from '@strake/core';
import { OpenFlag } from '@strake/sys';
import fs from 'node:fs';
import path from 'node:path';

/** Makes a socket AT, with the owner and mode of the socket TO, that passes all connections on to that one. */
export async function relaySocket(at: string, to: string): Promise<SocketRelay> {
  const facts = fs.statSync(to);
  const relay = createSocketRelay(to);
  // Addresses of sockets are short; a descriptor of the folder is.
  const folder = fs.openSync(path.dirname(at), OpenFlag.path | OpenFlag.directory);
  try {
    await relay.listen(`/proc/self/fd/${folder}/${path.basename(at)}`);
  } finally {
    fs.closeSync(folder);
  }
  try {
    fs.chownSync(at, facts.uid, facts.gid);
    fs.chmodSync(at, facts.mode & 0o7777);
  } catch (error) {
    await relay.close();
    throw error;
  }
  return relay;
}
