/** What tests of whole commands begin with: one that ends by itself, a tracker, a port that is taken. */
import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import { type RunningCommand, spawnCommand } from './spawn-command.js';
import type { Teardown } from './until.js';

/** On a free port of this machine. */
export const startTracker = (
  t: Teardown,
  args: readonly string[] = [],
  home?: string,
): Promise<RunningCommand> =>
  spawnCommand(
    t,
    'tsp-tracker',
    ['--host', '127.0.0.1', '--port', '0', ...args],
    home === undefined ? {} : { home },
  );

/** A command that is expected to end by itself: its exit code and what it said. */
export async function run(
  t: Teardown,
  name: 'tsp-tracker' | 'tsp-peer',
  args: readonly string[],
  env?: Record<string, string>,
) {
  const command = await spawnCommand(t, name, args, { input: '', ...(env === undefined ? {} : { env }) });
  const code = await command.exitCode();
  return { code, stdout: command.stdout, stderr: command.stderr };
}

/** Somebody who takes a port and says nothing. */
export async function listening(t: Teardown, port = 0): Promise<{ port: number; server: Server }> {
  const server = createServer(socket => socket.on('error', () => {}).resume());
  await once(server.listen(port, '127.0.0.1'), 'listening');
  t.teardown(() => server.close());
  return { server, port: (server.address() as { port: number }).port };
}
