/**
 * The usual ports (7460, 7461) belong to one test at a time: an embedded tracker listens nowhere else, and test files run
 * side by side.
 *
 *     test A ──listens on 27460──▶ has them ──ends──▶ test B, which waited, has them
 */
import { createServer, type Server } from 'node:net';
import { DEFAULT_TRACKER_PORT } from '../../protocol/tsp/constants.js';
import { type Teardown, until } from './until.js';

/** Whoever listens here has the usual ports; nobody is given it who asks for port 0. */
const TURNSTILE_PORT = 27_460;
/** Longer than the longest test that uses them. */
const TURN_MS = 600_000;

/** Resolves when it is this test's turn, until it ends: whether the usual ports are free of anybody else. */
export async function takeUsualPorts(t: Teardown): Promise<boolean> {
  // A test file may run out of time before this does.
  const what = `the usual ports are free: nobody listens on 127.0.0.1:${TURNSTILE_PORT}`;
  const first = await listenOn(TURNSTILE_PORT);
  if (first === undefined) process.stdout.write(`# waits until ${what}\n`);
  const turnstile = first ?? (await until(what, () => listenOn(TURNSTILE_PORT), TURN_MS));
  t.teardown(() => new Promise(resolve => turnstile.close(resolve)));
  const probe = await listenOn(DEFAULT_TRACKER_PORT);
  if (probe === undefined) return false;
  await new Promise(resolve => probe.close(resolve));
  return true;
}

const listenOn = (port: number): Promise<Server | undefined> =>
  new Promise(resolve => {
    const server = createServer();
    server.on('error', () => resolve(undefined));
    server.listen(port, '127.0.0.1', () => resolve(server));
  });
