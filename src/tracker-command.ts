/**
 * `tsp-tracker`: reads its options, locks its folder, starts a tracker, says where, and stops it when it is told to.
 *
 *     options ──▶ lock ──▶ Tracker.start() ──▶ «tsp-tracker ready on [::]:7460» ──signal──▶ stop() ──▶ exit code
 */
import { askedToEnd } from '../peer/asked-to-end.js';
import { EXIT, exitCodeOfServer } from '../peer/failures/failure.js';
import { readyLine } from '../peer/ready-line.js';
import { ConfigError } from '../protocol/errors.js';
import type { ListeningAt } from '../protocol/tsp/addresses.js';
import type { TrackerConfig, TrackerWorld } from '../tracker/config.js';
import type { SwarmServer } from '../tracker/swarm-server.js';
import { anyHost } from './any-host.js';
import type { CommandLineSpec } from './command-line.js';
import { folderFailure, folderInUse, listenFailure } from './failures.js';
import { maxConnections } from './open-files.js';
import { wrongInUse } from './options.js';
import { columnsOf, type Program } from './program.js';
import { readOptions } from './read-options.js';
import { loadTracker, lockTrackerFolder } from './tracker-folder.js';
import { type TrackerOptions, trackerConfig } from './tracker-options.js';

/** Of the sockets that there are, those for swarms: a quarter, and not more than that. */
const MAX_SWARM_CONNECTIONS = 4_096;
const PERHAPS_A_PEER = ' (a peer that finds no tracker runs one inside itself until it quits)';

export async function runTracker(spec: CommandLineSpec<TrackerOptions>, program: Program): Promise<number> {
  const invocation = await readOptions(spec, program.argv, program.env, columnsOf(process.stdout));
  if (invocation.kind === 'text') {
    process.stdout.write(invocation.text);
    return EXIT.ok;
  }
  const { values } = invocation;
  program.json = values.json;
  if (values['swarm-port'] === values.port && values.port !== 0)
    throw wrongInUse(
      new ConfigError('swarm-port', values.port, 'a port of its own: --port has it'),
      invocation.origins,
    );
  const sockets = await maxConnections();
  const forSwarms =
    values['swarm-port'] === undefined ? 0 : Math.min(MAX_SWARM_CONNECTIONS, Math.floor(sockets / 4));
  const config = trackerConfig(values, { host: anyHost(), maxConnections: sockets - forSwarms });
  const lock = await lockTrackerFolder(values.data).catch(error => {
    throw folderFailure(error);
  });
  if ('heldBy' in lock) throw folderInUse(values.data, lock.heldBy, PERHAPS_A_PEER);
  try {
    const { Tracker } = await loadTracker();
    const { trackerWorld } = await import('./world.js');
    const { consoleToLog } = await import('./logger.js');
    const world = await trackerWorld({ logLevel: values['log-level'], traceWire: values['trace-wire'] });
    consoleToLog(console, world.logger);
    const tracker = new Tracker({ ...config, ...world });
    const at = await tracker.start().catch(error => {
      throw folderFailure(listenFailure(error, config.host, config.port));
    });
    const swarms = await openSwarms(
      { ...config, port: values['swarm-port'], maxConnections: forSwarms },
      world,
    ).catch(async error => {
      await tracker.stop();
      throw error;
    });
    program.onClosedOutput = 'go-on';
    process.stdout.write(`${readyLine(spec.name, at, values.json)}\n`);
    if (swarms) {
      const line = readyLine('swarm tracker', swarms.at, values.json, { event: 'swarms-ready' });
      process.stdout.write(`${line}\n`);
    }
    const signal = await askedToEnd(program.signal);
    world.logger.info({ signal }, 'stopping');
    await Promise.all([tracker.stop(), swarms?.server.stop()]);
    return exitCodeOfServer(signal);
  } finally {
    await lock.release();
  }
}

/** The tracker of swarms, if a port is asked for. */
async function openSwarms(
  {
    host,
    port,
    maxPerAddress,
    maxConnections,
  }: Omit<TrackerConfig, 'port'> & { readonly port: number | undefined },
  world: TrackerWorld,
): Promise<{ readonly server: SwarmServer; readonly at: ListeningAt } | undefined> {
  if (port === undefined) return undefined;
  const { SwarmServer } = await import('../tracker/swarm-server.js');
  const server = new SwarmServer({ ...world, host, port, maxPerAddress, maxConnections });
  const at = await server.start().catch(error => {
    throw listenFailure(error, host, port, { port: '--swarm-port', anywhere: '--host 0.0.0.0' });
  });
  return { server, at };
}
