/**
 * `tsp-tracker`: reads its options, locks its folder, starts a tracker, says where, and stops it when it is told to.
 *
 *     options ──▶ lock ──▶ Tracker.start() ──▶ «tsp-tracker ready on [::]:7460» ──signal──▶ stop() ──▶ exit code
 */
import { EXIT } from '../peer/failures/failure.js';
import { formatHostPort } from '../protocol/tsp/addresses.js';
import { anyHost } from './any-host.js';
import type { CommandLineSpec } from './command-line.js';
import { folderFailure, folderInUse, listenFailure } from './failures.js';
import { maxConnections } from './open-files.js';
import { columnsOf, type Program } from './program.js';
import { readOptions } from './read-options.js';
import { asked, exitCodeOfServer } from './signals.js';
import { loadTracker, lockTrackerFolder } from './tracker-folder.js';
import { type TrackerOptions, trackerConfig } from './tracker-options.js';

export async function runTracker(spec: CommandLineSpec<TrackerOptions>, program: Program): Promise<number> {
  const invocation = await readOptions(spec, program.argv, program.env, columnsOf(process.stdout));
  if (invocation.kind === 'text') {
    process.stdout.write(invocation.text);
    return EXIT.ok;
  }
  const { values } = invocation;
  const config = trackerConfig(values, { host: anyHost(), maxConnections: await maxConnections() });
  const lock = await lockTrackerFolder(values.data).catch(error => {
    throw folderFailure(error);
  });
  if ('heldBy' in lock) throw folderInUse(values.data, lock.heldBy);
  try {
    const [{ Tracker }, { trackerWorld }, { consoleToLog }] = await Promise.all([
      loadTracker(),
      import('./world.js'),
      import('./logger.js'),
    ]);
    const world = await trackerWorld({ logLevel: values['log-level'], traceWire: values['trace-wire'] });
    consoleToLog(console, world.logger);
    const tracker = new Tracker({ ...config, ...world });
    const at = await tracker.start().catch(error => {
      throw listenFailure(error, config.host, config.port);
    });
    program.onClosedOutput = 'go-on';
    process.stdout.write(readyLine(spec.name, at, values.json));
    const signal = await asked(program.signal);
    world.logger.info({ signal }, 'stopping');
    await tracker.stop();
    return exitCodeOfServer(signal);
  } finally {
    await lock.release();
  }
}

/** The first line on standard output, from which a script learns the port. */
function readyLine(
  name: string,
  { address, port }: { address: string; port: number },
  json: boolean,
): string {
  return json
    ? `${JSON.stringify({ event: 'ready', address, port })}\n`
    : `${name} ready on ${formatHostPort(address, port)}\n`;
}
