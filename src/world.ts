/** The real world, as trackers and peers see it: this machine's clock, chance, log and streams. */
import { randomBytes } from 'node:crypto';
import type { Writable } from 'node:stream';
import type { OpenEmbeddedTracker, World } from '../peer/world.js';
import type { WireTrace } from '../protocol/tsp/describe.js';
import type { TrackerWorld } from '../tracker/config.js';
import { systemClock } from './clock.js';
import { openDisk } from './disk.js';
import type { LogLevel } from './log-levels.js';
import { openLogger } from './logger.js';
import { TerminalOutput } from './terminal-output.js';
import { agent } from './version.js';

export interface WorldOptions {
  readonly logLevel: LogLevel;
  readonly traceWire: boolean;
}

export async function trackerWorld({ logLevel, traceWire }: WorldOptions): Promise<TrackerWorld> {
  return {
    clock: systemClock,
    logger: openLogger({ level: logLevel, clock: systemClock }),
    randomBytes,
    openDisk,
    agent: agent(),
    trace: traceWire ? await openTrace(process.stderr) : undefined,
  };
}

/** Loaded only where it was asked for. */
const openTrace = async (stderr: Writable): Promise<WireTrace> =>
  (await import('./wire-trace.js')).openWireTrace(stderr, systemClock);

export interface PeerSurroundings extends WorldOptions {
  readonly env: NodeJS.ProcessEnv;
  readonly signal: AbortSignal;
  readonly maxConnections: number;
  readonly openEmbeddedTracker: OpenEmbeddedTracker;
}

export async function peerWorld({
  logLevel,
  traceWire,
  env,
  signal,
  maxConnections,
  openEmbeddedTracker,
}: PeerSurroundings): Promise<World> {
  const { stdin, stdout } = process;
  const terminal = process.stderr.isTTY ? new TerminalOutput(process.stderr) : undefined;
  const stderr = terminal ?? process.stderr;
  return {
    clock: systemClock,
    logger: openLogger({ level: logLevel, clock: systemClock, destination: stderr }),
    randomBytes,
    openDisk,
    randomUnit: Math.random,
    stdin,
    stdout,
    stderr,
    isTerminal: {
      stdin: stdin.isTTY === true,
      stdout: stdout.isTTY === true,
      stderr: terminal !== undefined,
    },
    ...(terminal && { divertStderr: sink => terminal.divert(sink) }),
    env,
    agent: agent(),
    signal,
    maxConnections,
    openEmbeddedTracker,
    trace: traceWire ? await openTrace(stderr) : undefined,
  };
}
