/**
 * `tsp-peer`: reads its options, then hands over to the peer room: a whole peer, or one of the one-shot commands.
 *
 *     tsp-peer [options]       lock folders ──▶ runPeer(config, world)             until it is told to quit
 *     tsp-peer get 10 -o F     ──────────────▶ runGet(config, arguments, world)    a light client
 *
 * Each room is loaded when it is needed: `tsp-peer list` never reads a decoder.
 */
import type { CommandArguments } from '../peer/commands/arguments.js';
import type { PeerConfig } from '../peer/config.js';
import { EXIT, usageError } from '../peer/failures/failure.js';
import type { World } from '../peer/world.js';
import type { CommandLineSpec } from './command-line.js';
import { embeddedTrackerOpener } from './embedded-tracker.js';
import { consoleToLog } from './logger.js';
import { maxConnections } from './open-files.js';
import { wrongInUse } from './options.js';
import { type LockedFolders, lockPeerFolders, peerFolders } from './peer-folders.js';
import { type PeerOptions, peerConfig } from './peer-options.js';
import { columnsOf, type Program } from './program.js';
import { type Invocation, readOptions } from './read-options.js';
import { swarmArguments, withLiveSwarms } from './swarm-options.js';
import { defaultTrackerFolder } from './tracker-options.js';
import { peerWorld, trackerWorld } from './world.js';

type Run = Extract<Invocation<PeerOptions>, { kind: 'run' }>;

/** `adjust` may change the configuration, as `npm start` does. */
export async function runPeerCommand(
  spec: CommandLineSpec<PeerOptions>,
  program: Program,
  adjust: (config: PeerConfig) => PeerConfig = config => config,
): Promise<number> {
  const argv = withLiveSwarms(program.argv);
  const invocation = await readOptions(spec, argv, program.env, columnsOf(process.stdout));
  if (invocation.kind === 'text') {
    process.stdout.write(invocation.text);
    return EXIT.ok;
  }
  const { values, origins } = invocation;
  program.json = values.json;
  if (values.raw && origins.raw === 'flag' && values.output !== 'stdout')
    throw usageError('--raw goes with --output stdout.');
  const connections = await maxConnections();
  const world = await openWorld(invocation, program, connections);
  const folders = await openFolders(invocation, program);
  try {
    const config = adjust(peerConfig(values, origins, folders));
    if (invocation.command !== undefined) return await runOneShot(invocation, config, world);
    program.onClosedOutput = 'go-on';
    const { runPeer } = await import('../peer/run-peer.js');
    return await runPeer(config, world);
  } catch (error) {
    throw wrongInUse(error, origins);
  } finally {
    await folders.release();
  }
}

async function openWorld({ values }: Run, program: Program, connections: number): Promise<World> {
  const options = { logLevel: values['log-level'], traceWire: values['trace-wire'] };
  const world = await trackerWorld(options);
  consoleToLog(console, world.logger);
  return await peerWorld({
    ...options,
    env: program.env,
    signal: program.signal,
    maxConnections: connections,
    openEmbeddedTracker: embeddedTrackerOpener({
      folder: defaultTrackerFolder(program.env),
      maxConnections: connections,
      world,
    }),
  });
}

/** A peer keeps things, so it needs folders to itself; a one-shot command keeps nothing. */
async function openFolders({ command, values, origins }: Run, { env }: Program): Promise<LockedFolders> {
  const chosen = origins.data === 'default' ? undefined : values.data;
  if (command === undefined) return await lockPeerFolders(chosen, env);
  return { ...peerFolders(chosen, env), release: () => Promise.resolve() };
}

type OneShot = (config: PeerConfig, words: CommandArguments, world: World) => Promise<number>;

const ONE_SHOTS: Readonly<Record<string, () => Promise<OneShot>>> = {
  list: async () => (await import('../peer/commands/list.js')).runList,
  info: async () => (await import('../peer/commands/list.js')).runInfo,
  find: async () => (await import('../peer/commands/list.js')).runFind,
  play: async () => (await import('../peer/commands/play.js')).runPlay,
  get: async () => (await import('../peer/commands/get.js')).runGet,
  hash: async () => (await import('../peer/commands/hash.js')).runHash,
  swarm: async () => (await import('../peer/commands/swarm.js')).runSwarm,
  doctor: async () => (await import('../peer/commands/doctor.js')).runDoctor,
};

async function runOneShot(
  { command, words, values }: Run,
  config: PeerConfig,
  world: World,
): Promise<number> {
  const run = await ONE_SHOTS[command!]!();
  const out = values.out === undefined ? {} : { out: values.out };
  const swarm = command === 'swarm' ? { swarm: swarmArguments(values) } : {};
  return await run(config, { words, ...out, ...swarm }, world);
}
