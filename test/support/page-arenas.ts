/** What tests of the page arena share: why there is none here, and a socket that is only ever written by its descriptor. */
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { openPageArena } from '../../peer/hosting/page-arena.js';
import { MIB } from './hosted-songs.js';
import type { Teardown } from './until.js';

/** False, or why the tests of it are skipped. */
export const arenaMissing: false | string = await openPageArena(MIB).then(
  arena => {
    arena.close();
    return false as const;
  },
  (error: Error) => error.message,
);

/** Both ends of a connection. Nothing is read at the far end until somebody does. */
export async function connection(t: Teardown): Promise<{ near: Socket; far: Socket; descriptor: number }> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const far = connect((server.address() as { port: number }).port, '127.0.0.1').pause();
  const [near] = (await once(server, 'connection')) as [Socket];
  t.teardown(() => {
    for (const end of [near, far, server]) 'destroy' in end ? end.destroy() : end.close();
  });
  return { near, far, descriptor: (near as unknown as { _handle: { fd: number } })._handle.fd };
}
