/**
 * A Redis server for a bench, at a port of its own, with nothing on disk.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { setTimeout as rest } from 'node:timers/promises';

export interface Server {
  readonly child: ChildProcess;
  readonly port: number;
}

/** Undefined where there is no redis-server. */
export async function startRedis(folder: string, children: ChildProcess[]): Promise<Server | undefined> {
  try {
    execFileSync('redis-server', ['--version'], { stdio: 'ignore' });
  } catch {
    return undefined;
  }
  const free = createServer().listen(0, '127.0.0.1');
  await once(free, 'listening');
  const { port } = free.address() as { port: number };
  free.close();
  await once(free, 'close');
  const args = [
    '--port',
    `${port}`,
    '--bind',
    '127.0.0.1',
    // Only 127.0.0.1 itself counts as protected, and the subscribers come from all over 127/8.
    '--protected-mode',
    'no',
    '--save',
    '',
    '--maxclients',
    '15000',
    '--dir',
    folder,
  ];
  const child = spawn('redis-server', args, { stdio: 'ignore' });
  children.push(child);
  for (;;) {
    const socket = connect(port, '127.0.0.1');
    const isThere = await once(socket, 'connect').then(
      () => true,
      () => false,
    );
    socket.destroy();
    if (isThere) return { child, port };
    await rest(50);
  }
}
