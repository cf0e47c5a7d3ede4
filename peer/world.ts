/**
 * The world as a whole peer process sees it: time, chance, a log, three streams, signals, and how to open a tracker.
 *
 *     src/bin/tsp-peer ──▶ { config: PeerConfig, world: World } ──▶ runPeer | runList | runGet | …  ──▶ exit code
 *
 * `src/` builds the real one once; tests build one of pipes and a virtual clock. Rooms further in take only the
 * pieces that they need.
 */
import type { Readable, Writable } from 'node:stream';
import type { Clock, Logger, OpenDisk, RandomBytes, RandomUnit } from '../protocol/ports.js';
import type { ListeningAt } from '../protocol/tsp/addresses.js';
import type { WireTrace } from '../protocol/tsp/describe.js';

/** What a terminal's stream has besides writing; `columns` changes when the window does ('resize'). */
export type TextOutput = Writable & { readonly columns?: number; readonly rows?: number };

/** Why the process was asked to end; the `reason` of `World.signal`. */
export type EndingSignal = 'SIGINT' | 'SIGTERM' | 'SIGHUP';

export interface World {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly randomBytes: RandomBytes;
  readonly randomUnit: RandomUnit;
  readonly openDisk: OpenDisk;
  readonly stdin: Readable;
  readonly stdout: TextOutput;
  readonly stderr: TextOutput;
  readonly isTerminal: { readonly stdin: boolean; readonly stdout: boolean; readonly stderr: boolean };
  /**
   * When stderr is the terminal of a prompt: what is logged goes to `sink` instead, as text of whole lines. The returned
   * function ends that.
   */
  readonly divertStderr?: (sink: (text: string) => void) => () => void;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** What the descriptors of this process allow. */
  readonly maxConnections: number;
  /** `torero/1.0.0`, as said in HELLO. */
  readonly agent: string;
  /** Aborted by the first signal, whose name is the reason; the second one ends the process at once. */
  readonly signal: AbortSignal;
  readonly openEmbeddedTracker: OpenEmbeddedTracker;
  /** `--trace-wire`: shows every message. */
  readonly trace?: WireTrace | undefined;
}

/**
 * Opens a tracker inside this process, on the data that every embedded tracker of this user shares. Resolves to
 * undefined when another process has the port or the data: then that one is the tracker to use.
 */
export type OpenEmbeddedTracker = (options: {
  /** Where to listen; loopback unless the operator gave `--host`. */
  readonly host: string;
  readonly port: number;
  /** The peer's own, so that a prompt on the terminal is not disturbed. */
  readonly logger: Logger;
}) => Promise<EmbeddedTracker | undefined>;

export interface EmbeddedTracker extends ListeningAt {
  /** Resolves when its connections are closed and its data is released. */
  stop(): Promise<void>;
}
