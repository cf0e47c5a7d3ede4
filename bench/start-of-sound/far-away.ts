/**
 * A line of 25 ms each way, for what connects through it: bytes leave this proxy as late as they would arrive.
 *
 *     client ─▶ │ the first bytes also wait for the round trip of the handshake │ ─25 ms─▶ server ─25 ms─▶ client
 */
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

export const ONE_WAY_MS = 25;

/** Listens on loopback for what is meant for `to`; answers the server, to be closed. */
export async function farAway(to: () => number): Promise<{ readonly port: number; readonly server: Server }> {
  const server = createServer({ noDelay: true }, near => {
    const far = connect({ port: to(), host: '127.0.0.1', noDelay: true });
    // Here the handshake took no time; over such a line it takes a round trip.
    delayed(near, far, performance.now() + 2 * ONE_WAY_MS);
    delayed(far, near, 0);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { port: (server.address() as { port: number }).port, server };
}

/** What comes from one side goes to the other 25 ms later, in order; nothing leaves its sender before `from`. */
function delayed(one: Socket, other: Socket, from: number): void {
  const later = (work: () => void): void => {
    setTimeout(work, Math.max(0, from - performance.now()) + ONE_WAY_MS);
  };
  one.on('data', bytes => later(() => other.write(bytes)));
  one.on('end', () => later(() => other.end()));
  one.on('error', () => other.destroy());
}
