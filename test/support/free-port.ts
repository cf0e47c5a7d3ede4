/**
 * A port of loopback for a program that must be told which: nobody listens there, and none is taken from there for whoever
 * asks for port 0, or for a connection, before the program listens itself.
 */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';

/** Systems choose from 32,768 on, or 49,152. */
const PORTS = { from: 20_000, to: 32_000 } as const;

export async function freePort(protocol: 'tcp' | 'udp'): Promise<number> {
  for (;;) {
    const port = PORTS.from + Math.floor(Math.random() * (PORTS.to - PORTS.from));
    if (await (protocol === 'tcp' ? isFreeForTcp(port) : isFreeForUdp(port))) return port;
  }
}

function isFreeForTcp(port: number): Promise<boolean> {
  const server = createServer().listen(port, '127.0.0.1');
  return once(server, 'listening').then(
    () => new Promise(resolve => server.close(() => resolve(true))),
    () => false,
  );
}

function isFreeForUdp(port: number): Promise<boolean> {
  const socket = createSocket('udp4').bind(port, '127.0.0.1');
  return once(socket, 'listening').then(
    () => new Promise(resolve => socket.close(() => resolve(true))),
    () => {
      socket.close();
      return false;
    },
  );
}
