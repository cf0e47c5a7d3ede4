/**
 * A Redis server for a bench, at a port of its own, with nothing on disk.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { freePort } from '../../test/support/free-port.js';
import { accepts } from '../harness.js';

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
  const port = await freePort('tcp');
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
  await accepts(port);
  return { child, port };
}
