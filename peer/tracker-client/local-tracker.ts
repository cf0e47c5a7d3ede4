/**
 * The tracker of a peer that was told of none: the one on this machine, or else one inside this process.
 *
 *     is somebody on 127.0.0.1:7460? ── yes ─▶ use it
 *              ▲                     └─ no ──▶ open one here ── somebody was quicker ─▶ use theirs
 *              └── asked again whenever the link is down: when that peer goes, the next one opens a tracker on the same data
 */
import { connect } from 'node:net';
import type { Clock, Logger, RandomUnit } from '../../protocol/ports.js';
import type { HostPort } from '../../protocol/tsp/addresses.js';
import type { EmbeddedTracker, OpenEmbeddedTracker } from '../world.js';

/** Loopback answers at once or not at all. */
const PROBE_MS = 1_000;
/** Several peers lose their tracker at the same moment; they need not all rush to replace it. */
const SPREAD_MS = 300;
/** While the link is down; whoever was about to open one may have failed. */
const LOOK_AGAIN_MS = 2_000;
/** Our own goodbye is still on its way to our own tracker, which should hear it before it ends. */
const GOODBYE_MS = 100;
const LOOPBACK = '127.0.0.1';
const EVERY_ADDRESS: readonly string[] = ['::', '0.0.0.0'];

export interface LocalTrackerOptions {
  readonly port: number;
  /** `--host`: then the embedded tracker listens there. */
  readonly host: string | undefined;
  readonly open: OpenEmbeddedTracker;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly randomUnit: RandomUnit;
  /** Called when a tracker was opened here. */
  readonly opened: (tracker: EmbeddedTracker) => void;
  readonly failed: (error: unknown) => void;
}

export class LocalTracker {
  readonly #options: LocalTrackerOptions;
  #embedded: EmbeddedTracker | undefined;
  #toldFailure = '';
  #opening: Promise<void> | undefined;
  #cancel: () => void = () => {};
  #stopped = false;

  constructor(options: LocalTrackerOptions) {
    this.#options = options;
  }

  /** Where the link dials: whoever serves there. */
  get address(): HostPort {
    const { host, port } = this.#options;
    return { host: host === undefined || EVERY_ADDRESS.includes(host) ? LOOPBACK : host, port };
  }

  get isEmbedded(): boolean {
    return this.#embedded !== undefined;
  }

  /** Resolves when a tracker listens, somebody's or ours, or when ours could not be opened. */
  async start(): Promise<void> {
    await this.#ensure();
  }

  /** From now on, until the link is up: look whether anybody still listens, and take over if not. */
  linkIsDown(): void {
    this.#lookAfter(this.#options.randomUnit() * SPREAD_MS);
  }

  linkIsUp(): void {
    this.#cancel();
  }

  /** Resolves when our tracker, if there is one, has ended. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancel();
    await this.#opening;
    const embedded = this.#embedded;
    this.#embedded = undefined;
    if (embedded === undefined) return;
    await new Promise<void>(resolve => {
      this.#options.clock.after(GOODBYE_MS, resolve);
    });
    await embedded.stop();
  }

  #lookAfter(delayMs: number): void {
    this.#cancel();
    this.#cancel = this.#options.clock.after(delayMs, () => {
      void this.#ensure();
      this.#lookAfter(LOOK_AGAIN_MS);
    });
  }

  #ensure(): Promise<void> {
    this.#opening ??= this.#openIfAlone().finally(() => {
      this.#opening = undefined;
    });
    return this.#opening;
  }

  async #openIfAlone(): Promise<void> {
    if (
      this.#stopped ||
      this.#embedded !== undefined ||
      (await isListening(this.address, this.#options.clock))
    )
      return;
    const { host = LOOPBACK, port, logger, open, opened, failed } = this.#options;
    try {
      this.#embedded = await open({ host, port, logger });
      if (this.#embedded !== undefined) opened(this.#embedded);
      this.#toldFailure = '';
    } catch (error) {
      // It is tried again and again, and told once.
      if (this.#toldFailure === String(error)) return;
      this.#toldFailure = String(error);
      failed(error);
    }
  }
}

/** Whether a connection is taken there. */
async function isListening({ host, port }: HostPort, clock: Clock): Promise<boolean> {
  return await new Promise(resolve => {
    const socket = connect({ host, port });
    const end = (is: boolean): void => {
      cancel();
      socket.destroy();
      resolve(is);
    };
    const cancel = clock.after(PROBE_MS, () => end(false));
    socket.on('connect', () => end(true)).on('error', () => end(false));
  });
}
