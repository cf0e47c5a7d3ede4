/**
 * All of a peer's broadcasting in one piece: keys, identities, feeds, ffmpeg, and the doors by which publishers and players
 * come in.
 *
 *     open ─▶ keys are there, feeds can be offered ─▶ start(doors) ─▶ they listen, and URLs are told ─▶ stop
 */
import { join } from 'node:path';
import { installLine } from '../failures/install-line.js';
import type { World } from '../world.js';
import { FeedSources } from './feed-sources.js';
import { FeedStore, type StoredKey } from './feed-store.js';
import type { FeedSwarms } from './feed-swarm.js';
import { ffmpegTranscoder, findFfmpeg } from './ffmpeg.js';
import { readKeysFile } from './keys-file.js';
import type { LiveConfig } from './live-config.js';
import type { LiveDoor } from './live-door.js';
import { LiveFeeds } from './live-feeds.js';
import { LiveOffers } from './live-offers.js';
import { StreamKeys } from './stream-keys.js';

export interface LiveRoomOptions {
  readonly config: LiveConfig;
  readonly dataDir: string;
  /** To all listeners together; Infinity: nobody knows. */
  readonly maxUploadBytesPerSecond: number;
  readonly world: Pick<World, 'clock' | 'logger' | 'randomBytes'>;
  /** Something that a person should know, said once. */
  readonly notice: (message: string, hint?: string) => void;
}

/** What was found out before there can be feeds. */
interface Prepared {
  readonly store: FeedStore;
  /** By the feed's name. */
  readonly keys: ReadonlyMap<string, StoredKey>;
  /** Its first line; undefined: there is none, or it is not needed. */
  readonly ffmpeg: string | undefined;
}

export class LiveRoom {
  readonly feeds: LiveFeeds;
  /** What is on the air, for the tracker and for listeners. */
  readonly offers: LiveOffers;
  readonly #options: LiveRoomOptions;
  readonly #prepared: Prepared;
  #doors: readonly LiveDoor[] = [];
  #sources: FeedSources | undefined;

  /** Rejects with ConfigError for a keys file that is none, and with the file system's errors. */
  static async open(options: LiveRoomOptions): Promise<LiveRoom> {
    const { config, dataDir, world } = options;
    const store = new FeedStore(join(dataDir, 'live'), world.randomBytes, world.logger);
    if (isUsed(config)) await store.load();
    const keys = new Map<string, StoredKey>();
    const brought = config.keysFile === undefined ? new Map() : await readKeysFile(config.keysFile);
    for (const [name, key] of brought) keys.set(name, { key, isNew: false });
    for (const name of config.names) if (!keys.has(name)) keys.set(name, await store.streamKey(name));
    for (const name of keys.keys()) store.keep(name);
    await store.settled();
    const ffmpeg = hasDoors(config) ? await findFfmpeg() : undefined;
    return new LiveRoom(options, { store, keys, ffmpeg });
  }

  private constructor(options: LiveRoomOptions, prepared: Prepared) {
    const { config, world, maxUploadBytesPerSecond } = options;
    const { store, keys, ffmpeg } = prepared;
    const logger = world.logger.child({ room: 'live' });
    const secrets = new Map([...keys].map(([name, { key }]) => [name, key]));
    this.#options = options;
    this.#prepared = prepared;
    this.feeds = new LiveFeeds({
      keys: new StreamKeys(secrets, config.isOpen),
      idOf: name => store.identity(name).id,
      forget: name => store.forget(name),
      graceMs: config.graceMs,
      maxUploadBytesPerSecond,
      transcode: ffmpeg === undefined ? undefined : ffmpegTranscoder({ clock: world.clock, logger }),
      clock: world.clock,
      logger,
    });
    this.offers = new LiveOffers(this.feeds, feed => this.#sources?.of(feed));
  }

  /**
   * Feeds are given through `swarms`, too, where there are any. Rejects with CommandError when a door cannot listen; the
   * others are closed by `stop`.
   */
  async start(doors: readonly LiveDoor[], swarms?: FeedSwarms): Promise<void> {
    if (swarms !== undefined) this.#giveThrough(swarms);
    this.#doors = doors;
    for (const door of doors) await door.start();
    if (doors.length > 0) this.#tell();
  }

  /** Listeners hear the end, publishers are sent away, doors close. */
  async stop(): Promise<void> {
    this.#sources?.stop();
    this.feeds.stop();
    await Promise.all(this.#doors.map(door => door.stop()));
    await this.#prepared.store.settled();
  }

  #giveThrough(swarms: FeedSwarms): void {
    const { world } = this.#options;
    this.#sources = new FeedSources({
      swarms,
      feeds: this.feeds,
      identityOf: name => this.#prepared.store.identity(name),
      clock: world.clock,
      logger: world.logger.child({ room: 'live' }),
    });
    this.#sources.start();
  }

  #tell(): void {
    const { config, notice } = this.#options;
    const { store, keys, ffmpeg } = this.#prepared;
    for (const [name, { key, isNew }] of keys) {
      const from = config.names.includes(name) ? store.keyFile(name) : (config.keysFile ?? '');
      for (const door of this.#doors) {
        const publish = door.publishUrl(name, isNew ? key : 'KEY');
        const where = isNew ? `The key is kept in ${from}, and is not shown again.` : `KEY is in ${from}.`;
        notice(`Publish ${name} to ${publish}; players take ${door.listenUrl(name)}.`, where);
      }
    }
    if (config.isOpen) {
      const [door] = this.#doors;
      notice(
        `ANYBODY who reaches ${door?.publishUrl('NAME', 'NAME')} can broadcast here, under any name: --live-open.`,
      );
    }
    if (keys.size === 0 && !config.isOpen) return;
    if (ffmpeg !== undefined) notice(`AAC and what else is no MP3 is encoded by ${ffmpeg}.`);
    else
      notice(
        'There is no ffmpeg here: MP3 is broadcast as it is, and AAC (OBS) is refused.',
        `${installLine('ffmpeg')} mends that.`,
      );
  }
}

const hasDoors = ({ rtmp, icecast }: LiveConfig): boolean => rtmp !== undefined || icecast !== undefined;

const isUsed = ({ names, keysFile, isOpen }: LiveConfig): boolean =>
  names.length > 0 || keysFile !== undefined || isOpen;
