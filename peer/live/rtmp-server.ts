/**
 * Where broadcasting software publishes and RTMP players listen: rtmp://HOST/live/…, songs/… and auth/….
 *
 * `stop` tells publishers and players, and resolves when every connection is closed.
 */
import type { RandomBytes } from '../../protocol/ports.js';
import { AdobeAuth } from '../../protocol/rtmp/adobe-auth.js';
import type { WireTrace } from '../../protocol/tsp/describe.js';
import { type DoorOptions, DoorServer } from './door-server.js';
import { DEFAULT_RTMP_PORT } from './live-config.js';
import type { LiveDoor } from './live-door.js';
import type { LiveFeeds } from './live-feeds.js';
import { RtmpConnection, type RtmpWorld } from './rtmp-connection.js';
import { rtmpRuns } from './rtmp-media.js';
import type { FindSong, PlayerUploads } from './rtmp-song-player.js';

export interface RtmpServerOptions extends DoorOptions {
  readonly feeds: LiveFeeds;
  readonly findSong: FindSong;
  readonly uploads: PlayerUploads;
  readonly randomBytes: RandomBytes;
  readonly trace?: WireTrace | undefined;
}

export class RtmpServer implements LiveDoor {
  readonly #door: DoorServer<RtmpConnection>;

  constructor(options: RtmpServerOptions) {
    const { feeds, findSong, uploads, clock, logger, randomBytes, trace } = options;
    const auth = new AdobeAuth(user => feeds.secretOf(user), randomBytes);
    const runs = rtmpRuns();
    const world: RtmpWorld = {
      feeds,
      findSong,
      uploads,
      runs,
      auth,
      clock,
      logger,
      randomBytes,
      trace,
    };
    this.#door = new DoorServer(options, {
      name: 'RTMP server',
      option: '--rtmp',
      allowHalfOpen: false,
      connect: (socket, greeted) => new RtmpConnection(socket, world, greeted),
    });
  }

  /** Rejects with CommandError. */
  start(): Promise<void> {
    return this.#door.start();
  }

  /** Publishers and players are told. */
  stop(): Promise<void> {
    return this.#door.stop();
  }

  /** Publishers, players, and those who have not said what they are. */
  get connections(): number {
    return this.#door.connections;
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
}
