/**
 * Where broadcasting software publishes and RTMP players listen: rtmp://HOST/live/…, songs/… and auth/….
 *
 * `stop` tells publishers and players, and resolves when every connection is closed.
 */
import type { RandomBytes } from '../../protocol/ports.js';
import { AdobeAuth } from '../../protocol/rtmp/adobe-auth.js';
import { type DoorOptions, DoorServer } from './door-server.js';
import { DEFAULT_RTMP_PORT } from './live-config.js';
import type { LiveDoor } from './live-door.js';
import type { LiveFeeds } from './live-feeds.js';
import { RtmpConnection, type RtmpWorld } from './rtmp-connection.js';
import type { FindSong } from './rtmp-song-player.js';

/** How often deadlines are looked at: they are of seconds. */
const SWEEP_MS = 250;
/** What was being sent when the peer stops has this long. */
const FINISH_MS = 1_000;

export interface RtmpServerOptions extends DoorOptions {
  readonly feeds: LiveFeeds;
  readonly findSong: FindSong;
  readonly randomBytes: RandomBytes;
}

export class RtmpServer implements LiveDoor {
  readonly #options: RtmpServerOptions;
  readonly #door: DoorServer<RtmpConnection>;
  #cancelSweep: (() => void) | undefined;

  constructor(options: RtmpServerOptions) {
    const { feeds, findSong, clock, logger, randomBytes } = options;
    const auth = new AdobeAuth(user => feeds.secretOf(user), randomBytes);
    const world: RtmpWorld = { feeds, findSong, auth, clock, logger, randomBytes };
    this.#options = options;
    this.#door = new DoorServer(options, (socket, greeted) => {
      this.#cancelSweep ??= clock.after(SWEEP_MS, () => this.#sweep());
      return new RtmpConnection(socket, world, greeted);
    });
  }

  /** Rejects with CommandError. */
  start(): Promise<void> {
    return this.#door.start(false);
  }

  async stop(): Promise<void> {
    const cancelFinish = this.#options.clock.after(FINISH_MS, () => {
      for (const connection of this.#door.connections) connection.destroy();
    });
    await this.#door.stop(connection => connection.finish());
    cancelFinish();
    this.#cancelSweep?.();
  }

  /** Publishers, players, and those who have not said what they are. */
  get connections(): number {
    return this.#door.connections.size;
  }

  get port(): number {
    return this.#door.port;
  }

  publishUrl(_name: string, key: string): string {
    return `${this.#base}/live/${key}`;
  }

  listenUrl(name: string): string {
    return `${this.#base}/live/${name}`;
  }

  get #base(): string {
    const { address, port } = this.#door;
    return `rtmp://${port === DEFAULT_RTMP_PORT ? address.replace(/:\d+$/, '') : address}`;
  }

  #sweep(): void {
    const { clock } = this.#options;
    const now = clock.now();
    const { connections } = this.#door;
    for (const connection of connections) connection.expire(now);
    this.#cancelSweep = connections.size === 0 ? undefined : clock.after(SWEEP_MS, () => this.#sweep());
  }
}
