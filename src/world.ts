/** The real world, as trackers and peers see it: this machine's clock, chance, log and streams. */
import { randomBytes } from 'node:crypto';
import { MAX_UNREAD_BYTES } from '../peer/wire/wire-trace.js';
import type { OpenEmbeddedTracker, World } from '../peer/world.js';
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

export function trackerWorld({ logLevel, traceWire }: WorldOptions): TrackerWorld {
  return {
    clock: systemClock,
    logger: openLogger({ level: logLevel, clock: systemClock }),
    randomBytes,
    openDisk,
    agent: agent(),
    ...(traceWire ? { trace: traceLine } : {}),
  };
}

function traceLine(line: string): void {
  const { stderr } = process;
  if (stderr.writableLength <= MAX_UNREAD_BYTES) stderr.write(`${line}\n`);
}

export interface PeerSurroundings {
  readonly logLevel: LogLevel;
  readonly env: NodeJS.ProcessEnv;
  readonly signal: AbortSignal;
  readonly maxConnections: number;
  readonly openEmbeddedTracker: OpenEmbeddedTracker;
}

export function peerWorld({
  logLevel,
  env,
  signal,
  maxConnections,
  openEmbeddedTracker,
}: PeerSurroundings): World {
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
  };
}
